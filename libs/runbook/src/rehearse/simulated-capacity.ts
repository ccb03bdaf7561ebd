import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import type { OpenWork, SimulatedRun } from './simulated-run.js';

type TakeCapacity = Extract<EngineCommand, { kind: 'take-capacity' }>;

/** Takes all that is asked for at once, as soon as nobody else holds any of it. What the rehearsed runs hold themselves is not counted. */
export function takeCapacity(
  run: SimulatedRun,
  { path, wants }: TakeCapacity,
  answer: (event: EngineEvent) => void,
): OpenWork {
  const step = path.replace(/#capacity$/, '') || null;
  const asked = wants.map((want) => ({ ...want }));
  const keys = new Set(wants.map(({ key }) => key));
  const { clock, script } = run;
  const askedAtMs = clock.nowMs;
  let isQueued = false;
  let stop = (): void => undefined;
  const look = (): void => {
    const held = (script.held ?? []).filter(
      ({ key, fromMs, toMs }) => keys.has(key) && fromMs <= clock.nowMs && (toMs === null || toMs > clock.nowMs),
    );
    if (held.length === 0) {
      const waitedMs = clock.nowMs - askedAtMs;
      run.append({ kind: 'capacity-granted', step, data: { wants: asked, waitedMs } });
      return answer({ kind: 'ended', path, state: 'succeeded' });
    }
    if (!isQueued) {
      run.append({ kind: 'capacity-queued', step, data: { wants: asked, keys: held.map(({ key }) => key) } });
    }
    isQueued = true;
    // What is held for ever is waited for until the run is ended.
    if (held.some(({ toMs }) => toMs === null)) return;
    stop = clock.after(Math.max(...held.map(({ toMs }) => toMs ?? 0)) - clock.nowMs, look);
  };
  stop = clock.after(0, look);
  return {
    cancel: () => {
      stop();
      if (isQueued) run.append({ kind: 'capacity-freed', step, data: { was: 'queued' } });
      answer({ kind: 'ended', path, state: 'cancelled' });
    },
  };
}
