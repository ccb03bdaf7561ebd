// Ready-made runbooks on one real host, with a worker.
import type { RunDetail } from '@fettle/contracts';
import { readyMade } from './ready-made.js';
import { startSshd, type Sshd } from './sshd.js';
import { TestStack, type WorkerProcess } from './stack.js';

export const PATIENCE_MS = 240_000;

/** The hosts of a test are servers; what a runbook is for is said by its selector, which is not what is tested with it. */
const everywhere = (spec: Record<string, unknown>) => ({ ...spec, targets: 'asset.kind == "server"' });

export class ReadyMadeHosts {
  private constructor(
    readonly stack: TestStack,
    readonly sshd: Sshd,
    readonly worker: WorkerProcess,
  ) {}

  static async start(runbooks: readonly string[]): Promise<ReadyMadeHosts> {
    const [stack, sshd] = await Promise.all([
      TestStack.create(),
      startSshd({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }),
    ]);
    await stack.addHosts(sshd, 1);
    for (const name of runbooks) await stack.addRunbook(name, everywhere(readyMade(name).written));
    return new ReadyMadeHosts(stack, sshd, await stack.startWorker());
  }

  async go(runbook: string, inputs: Record<string, unknown>): Promise<RunDetail> {
    return this.stack.ended((await this.stack.start(runbook, { inputs })).id, PATIENCE_MS);
  }

  async close(): Promise<void> {
    await this.worker.stop();
    await this.sshd.stop();
    await this.stack.close();
  }
}

/** How a run ended, with what each step of its one target came to. */
export const ended = (run: RunDetail) => ({
  state: run.state,
  rollback: run.rollback,
  steps: Object.fromEntries(
    (run.targets[0]?.steps ?? []).map(({ step, state, error }) => [step, error?.code ?? state]),
  ),
});
