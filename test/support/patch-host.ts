// One Debian of its own, with a package archive of its own, an asset of a stack with a worker.
import type { RunDetail } from '@fettle/contracts';
import { DebianRepository, type TestPackage } from './debian-repository.js';
import { DebianRoot } from './debian-root.js';
import { TestStack, type WorkerProcess } from './stack.js';

const PATIENCE_MS = 240_000;

export class PatchHost<Repository = DebianRepository> {
  worker: WorkerProcess | undefined;

  protected constructor(
    readonly stack: TestStack,
    readonly root: DebianRoot,
    readonly repository: Repository,
  ) {}

  /** With these packages installed, in the versions given. */
  static async start(installed: readonly TestPackage[], user: 'root' | 'ops' = 'ops'): Promise<PatchHost> {
    const [stack, root] = await Promise.all([TestStack.create(), DebianRoot.start({ user })]);
    const host = new PatchHost(stack, root, await DebianRepository.create(root));
    await host.repository.add('main', ...installed);
    await root.inside('apt-get', '-q', 'update');
    await root.inside('apt-get', '-y', '-q', 'install', ...installed.map(({ name }) => name));
    await stack.addHosts(root, 1);
    host.worker = await stack.startWorker();
    return host;
  }

  /** Runs one step on the host, with its input. */
  async step(uses: string, input: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<RunDetail> {
    const name = `step-${(this.#runbooks += 1)}`;
    await this.stack.addRunbook(name, { targets: 'true', steps: [{ id: 'step', uses, with: input, ...more }] });
    return this.stack.ended((await this.stack.start(name)).id, PATIENCE_MS);
  }

  /** What a step left for later ones. */
  async output(run: RunDetail, step = 'step'): Promise<Record<string, unknown> | null> {
    const rows: { output: Record<string, unknown> | null }[] = await this.stack.dataSource.query(
      `SELECT outputs -> $2 AS output FROM run_target WHERE run_id = $1`,
      [run.id, step],
    );
    return rows[0]?.output ?? null;
  }

  /** How often the step was claimed: one more for each look at a command that runs on. */
  async fenceOf(runId: string): Promise<number> {
    const rows: { fence: number }[] = await this.stack.dataSource.query(
      `SELECT fence FROM run_step WHERE run_id = $1`,
      [runId],
    );
    return rows[0]?.fence ?? 0;
  }

  async close(): Promise<void> {
    await this.worker?.stop();
    await this.root.stop();
    await this.stack.close();
  }

  #runbooks = 0;
}
