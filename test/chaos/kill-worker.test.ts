import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const long = process.env.FETTLE_LONG === '1';
const KILLS = long ? 20 : 4;
const HOSTS = long ? 50 : 20;
const MIN_IN_FLIGHT = long ? 15 : 3;
const STEPS = ['first', 'second', 'third'] as const;

/** A small generator with a printed seed (mulberry32), so that a failure can be played again. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe(`kill -9 of the worker, ${KILLS} times`, () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  const seed = Number(process.env.FETTLE_SEED ?? Date.now() % 2 ** 31);
  const random = randomOf(seed);

  beforeAll(async () => {
    process.stderr.write(`seed ${seed}: repeat with FETTLE_SEED=${seed}\n`);
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, HOSTS);
    // Some hosts are slower than others, and the effect lies in the middle of the command.
    const script = 'sleep 0.$(( $3 % 4 )); echo "$1" >> "$HOME/effects-$2"; sleep 0.2';
    await stack.addRunbook('append', {
      targets: 'asset.kind == "server"',
      steps: STEPS.map((id) => ({
        id,
        uses: 'ssh.script',
        with: { script, arguments: ['${{ run.id }}/' + id, '${{ asset.name }}', '${{ asset.labels.number }}'] },
      })),
    });
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  async function inFlight(runId: string): Promise<Set<string>> {
    const rows: { key: string }[] = await stack.dataSource.query(
      `SELECT t.asset_name || '/' || s.step AS key FROM run_step s JOIN run_target t USING (run_id, asset_id)
       WHERE s.run_id = $1 AND s.state = 'started'`,
      [runId],
    );
    return new Set(rows.map((row) => row.key));
  }

  async function effects(runId: string): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const file of await readdir(sshd.account.home)) {
      if (!file.startsWith('effects-')) continue;
      const lines = (await readFile(join(sshd.account.home, file), 'utf8')).split('\n');
      for (const step of STEPS) {
        const count = lines.filter((line) => line === `${runId}/${step}`).length;
        counts.set(`${file.slice('effects-'.length)}/${step}`, count);
      }
    }
    return counts;
  }

  function check(run: RunDetail, done: Map<string, number>, uncertain: ReadonlySet<string>): number {
    let unknowns = 0;
    for (const target of run.targets) {
      for (const step of target.steps) {
        const key = `${target.asset}/${step.step}`;
        const count = done.get(key) ?? 0;
        expect({ key, attempt: step.attempt }).toEqual({ key, attempt: 1 });
        if (step.state === 'unknown') {
          unknowns += 1;
          // Only where an effect was in flight at the kill; it happened at most once, and nothing follows it.
          expect([...uncertain]).toContain(key);
          expect(count).toBeLessThanOrEqual(1);
          expect(target.state).toBe('unknown');
        } else {
          expect({ key, state: step.state, count }).toEqual({ key, state: 'succeeded', count: 1 });
        }
      }
      if (target.state !== 'unknown')
        expect(target).toMatchObject({ state: 'succeeded', steps: { length: STEPS.length } });
    }
    return unknowns;
  }

  it('ends every run; each effect happened once, or is unknown and was in flight', async () => {
    let killsInFlight = 0;
    let unknownSteps = 0;
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const { id } = await stack.start('append');
      const delayMs = 300 + random() * 2500;
      await sleep(delayMs);
      await worker.stop('SIGKILL');
      const uncertain = await inFlight(id);
      // Commands that the dead worker left running finish by themselves before the next worker looks.
      worker = await stack.startWorker();
      const run = await stack.ended(id, 90_000);
      await sleep(1000);
      if (uncertain.size > 0) killsInFlight += 1;
      const unknowns = check(run, await effects(id), uncertain);
      unknownSteps += unknowns;
      expect(run.state).toBe(unknowns > 0 ? 'failed' : 'succeeded');
      process.stderr.write(
        `kill ${kill} after ${Math.round(delayMs)} ms: ${uncertain.size} in flight, ${unknowns} unknown, run ${run.state}\n`,
      );
    }
    process.stderr.write(`${killsInFlight} of ${KILLS} kills with a step in flight; ${unknownSteps} steps unknown\n`);
    expect(killsInFlight).toBeGreaterThanOrEqual(MIN_IN_FLIGHT);
  }, 900_000);
});
