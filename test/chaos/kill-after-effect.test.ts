import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { figure } from '../support/figures.js';
import { EffectStage, effectKinds, type EffectKind } from './effect-runs.js';

const long = process.env.FETTLE_LONG === '1';
/** Each stage has its own worker, database and hosts; kills of different stages overlap. */
const STAGES = long ? 3 : 2;
const KILLS = Number(process.env.FETTLE_KILLS ?? (long ? 50 : 4));
const HOSTS = long ? 10 : 4;
const MAX_UNKNOWN_AFTER_MS = 60_000;

interface Killed {
  readonly kind: EffectKind;
  readonly hosts: number;
  readonly unknown: number;
  /** From the kill to the last `unknown` in the run; null: there was none. */
  readonly unknownAfterMs: number | null;
}

/** Kills the worker when every effect of a run has happened and no end stands in the journal; another takes over. */
async function killAfterEffect(stage: EffectStage, kind: EffectKind): Promise<Killed> {
  const { stack } = stage;
  let killedAtMs = 0;
  const runId = await stage.held.during(async () => {
    const id = await stage.begin(kind);
    while ((await stage.effects(id)).size < stage.hosts) await sleep(20);
    await stage.worker.stop('SIGKILL');
    killedAtMs = Date.now();
    return id;
  });
  const before: { state: string; n: number }[] = await stack.dataSource.query(
    `SELECT state, count(*)::int AS n FROM run_step WHERE run_id = $1 GROUP BY state`,
    [runId],
  );
  expect(before).toEqual([{ state: 'started', n: stage.hosts }]);
  stage.worker = await stack.startWorker();
  const run = await stack.ended(runId, 90_000);
  const effects = await stage.effects(runId);
  expect([...effects.values()]).toEqual(Array.from({ length: stage.hosts }, () => 1));
  checkEnd(kind, run, await stage.outputs(runId), stage.hosts);
  const unknownAtMs = await stage.lastUnknownAtMs(runId);
  const { unknown } = run.counts;
  figure(
    `kill between effect and finished (${kind}) of ${stage.hosts} steps: ${unknown} unknown, none twice, run ${run.state}`,
  );
  return {
    kind,
    hosts: stage.hosts,
    unknown,
    unknownAfterMs: unknownAtMs === null ? null : unknownAtMs - killedAtMs,
  };
}

/** Only where nothing can find it out is it unknown; else it is known to have happened, and happened in the first attempt. */
function checkEnd(kind: EffectKind, run: RunDetail, outputs: readonly { changed?: boolean }[], hosts: number): void {
  if (kind === 'none') {
    expect(run).toMatchObject({ state: 'failed', counts: { unknown: hosts } });
    return;
  }
  expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: hosts } });
  for (const target of run.targets)
    expect(target.steps).toMatchObject([{ step: 'work', state: 'succeeded', attempt: 1, error: null }]);
  // What the file was before is lost with the worker: whoever asks whether it changed is to do what a change needs.
  if (kind === 'file') for (const { changed } of outputs) expect(changed).toBe(true);
}

describe(`kill -9 of a worker between effect and finished, ${KILLS} times`, () => {
  let stages: EffectStage[] = [];

  beforeAll(async () => {
    stages = await Promise.all(Array.from({ length: STAGES }, () => EffectStage.start(HOSTS)));
  }, 180_000);
  afterAll(async () => {
    for (const stage of stages) await stage.close();
  }, 60_000);

  it('loses no run, repeats no effect, and says unknown only where nothing can find it out', async () => {
    const kills = Array.from({ length: KILLS }, (_, index) => effectKinds[index % effectKinds.length]!).values();
    const results: Killed[] = [];
    const serve = async (stage: EffectStage): Promise<void> => {
      for (const kind of kills) results.push(await killAfterEffect(stage, kind));
    };
    await Promise.all(stages.map(serve));
    for (const kind of effectKinds) {
      const own = results.filter((result) => result.kind === kind);
      const steps = own.reduce((sum, { hosts }) => sum + hosts, 0);
      const unknown = own.reduce((sum, result) => sum + result.unknown, 0);
      figure(`${own.length} kills between effect and finished (${kind}): ${steps} steps, 0 twice, ${unknown} unknown`);
    }
    const after = results.flatMap(({ unknownAfterMs }) => (unknownAfterMs === null ? [] : [unknownAfterMs]));
    const slowest = Math.max(...after);
    figure(
      `${results.length} kills, 0 runs lost; unknown stood in the run ${(slowest / 1000).toFixed(1)} s after the kill at the latest (start of another worker included)`,
    );
    expect(results).toHaveLength(KILLS);
    expect(slowest).toBeLessThan(MAX_UNKNOWN_AFTER_MS);
  }, 1_500_000);
});
