import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { testSeed } from '../support/figures.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

export const APPEND_STEPS = ['first', 'second', 'third'] as const;
export const APPEND_RUNBOOK = 'append';

/** A small generator with a printed seed (mulberry32), so that a failure can be played again. */
export function seededRandom(): () => number {
  let state = testSeed();
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Repeats what needs a server that is just coming back. */
export async function patiently<Result>(work: () => Promise<Result>, patienceMs = 60_000): Promise<Result> {
  const giveUpAtMs = Date.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > giveUpAtMs) throw error;
      await sleep(200);
    }
  }
}

interface StepRow {
  readonly key: string;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
}

/** Runs of three steps, each of which appends one line to a file of its host: so it can be counted what took effect. */
export class AppendRuns {
  constructor(
    readonly stack: TestStack,
    readonly sshd: Sshd,
  ) {}

  /** Some hosts are slower than others, and the effect lies in the middle of the command. */
  async prepare(tailSeconds = 0.2): Promise<void> {
    const script = `sleep 0.$(( $3 % 4 )); echo "$1" >> "$HOME/effects-$2"; sleep ${tailSeconds}`;
    await this.stack.addRunbook(APPEND_RUNBOOK, {
      targets: 'asset.kind == "server"',
      steps: APPEND_STEPS.map((id) => ({
        id,
        uses: 'ssh.script',
        with: { script, arguments: ['${{ run.id }}/' + id, '${{ asset.name }}', '${{ asset.labels.number }}'] },
      })),
    });
  }

  /** `asset/step` of what is started and has no end now. */
  async openSteps(runId: string): Promise<Set<string>> {
    const rows = await this.#rows(runId);
    return new Set(rows.filter((row) => row.endedAt === null).map((row) => row.key));
  }

  /** `asset/step` of what was started before that moment and had no end at it, read afterwards. */
  async inFlightAt(runId: string, atMs: number): Promise<Set<string>> {
    const rows = await this.#rows(runId);
    const spanning = rows.filter(
      (row) => row.startedAt.getTime() <= atMs && (row.endedAt === null || row.endedAt.getTime() >= atMs),
    );
    return new Set(spanning.map((row) => row.key));
  }

  #rows(runId: string): Promise<StepRow[]> {
    return this.stack.dataSource.query(
      `SELECT t.asset_name || '/' || s.step AS key, s.started_at AS "startedAt", s.ended_at AS "endedAt"
       FROM run_step s JOIN run_target t USING (run_id, asset_id) WHERE s.run_id = $1`,
      [runId],
    );
  }

  /** How often each `asset/step` took effect. */
  async effects(runId: string): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const file of await readdir(this.sshd.account.home)) {
      if (!file.startsWith('effects-')) continue;
      const lines = (await readFile(join(this.sshd.account.home, file), 'utf8')).split('\n');
      for (const step of APPEND_STEPS) {
        const count = lines.filter((line) => line === `${runId}/${step}`).length;
        counts.set(`${file.slice('effects-'.length)}/${step}`, count);
      }
    }
    return counts;
  }

  /**
   * Holds an ended run against the hosts: each step took effect exactly once, or is `unknown`, was in flight at the fault and
   * took effect at most once. Returns the number of unknown steps.
   */
  async check(run: RunDetail, uncertain: ReadonlySet<string>): Promise<number> {
    const done = await this.effects(run.id);
    let unknowns = 0;
    for (const target of run.targets) {
      for (const step of target.steps) {
        const key = `${target.asset}/${step.step}`;
        const count = done.get(key) ?? 0;
        expect({ key, attempt: step.attempt }).toEqual({ key, attempt: 1 });
        if (step.state === 'unknown') {
          unknowns += 1;
          // Only where an effect was in flight at the fault; it happened at most once, and nothing follows it.
          expect([...uncertain]).toContain(key);
          expect(count).toBeLessThanOrEqual(1);
          expect(target.state).toBe('unknown');
        } else {
          expect({ key, state: step.state, count, error: step.error }).toEqual({
            key,
            state: 'succeeded',
            count: 1,
            error: null,
          });
        }
      }
      if (target.state !== 'unknown')
        expect(target).toMatchObject({ state: 'succeeded', steps: { length: APPEND_STEPS.length } });
    }
    expect(run.state).toBe(unknowns > 0 ? 'failed' : 'succeeded');
    return unknowns;
  }
}

/** A stack with hosts of one sshd, the runbook and a worker, which a test may replace by another. */
export interface AppendStage {
  readonly stack: TestStack;
  readonly runs: AppendRuns;
  worker: WorkerProcess;
  close(): Promise<void>;
}

export async function startAppendStage(hosts: number): Promise<AppendStage> {
  const [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
  const runs = new AppendRuns(stack, sshd);
  await stack.addHosts(sshd, hosts);
  await runs.prepare();
  const stage: AppendStage = {
    stack,
    runs,
    worker: await stack.startWorker(),
    close: async () => {
      await stage.worker.stop();
      await sshd.stop();
      await stack.close();
    },
  };
  return stage;
}
