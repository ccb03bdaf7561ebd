import pc from 'picocolors';
import type { Sink } from '../session/host.js';

export type Colours = ReturnType<typeof pc.createColors>;

/** Colours only where a person looks: a terminal, no NO_COLOR (https://no-color.org), not a dumb one. */
export function coloursFor(sink: Sink, env: NodeJS.ProcessEnv): Colours {
  const refused = (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
  return pc.createColors(sink.isTTY === true && !refused);
}

const byState: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'cyan' | 'dim' | 'magenta'>> = {
  succeeded: 'green',
  active: 'green',
  fired: 'green',
  'caught-up': 'green',
  refused: 'red',
  deferred: 'cyan',
  failed: 'red',
  unreachable: 'red',
  'timed-out': 'red',
  unknown: 'magenta',
  quarantined: 'magenta',
  running: 'cyan',
  queued: 'cyan',
  'waiting-approval': 'yellow',
  paused: 'yellow',
  cancelled: 'yellow',
  missed: 'yellow',
  skipped: 'dim',
  pending: 'dim',
  retired: 'dim',
};

/** A state in its colour, the same everywhere. */
export function paintState(colours: Colours, state: string): string {
  const colour = Object.hasOwn(byState, state) ? byState[state] : undefined;
  return colour === undefined ? state : colours[colour](state);
}
