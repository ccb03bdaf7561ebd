import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { HeldFinish } from './held-finish.js';

/** How it is found out what an effect came to whose worker was lost. */
export const effectKinds = ['probe', 'file', 'detached', 'none'] as const;
export type EffectKind = (typeof effectKinds)[number];

/** Appends to a file of its run and host: whatever happens twice is there twice. */
const APPEND = 'echo done >>"$1"';
const PATH = '${{ inputs.folder }}/${{ run.id }}-${{ asset.name }}';

function append(more: Record<string, unknown>): Record<string, unknown> {
  return { id: 'work', uses: 'ssh.script', with: { script: APPEND, arguments: [PATH], ...more } };
}

const steps: Readonly<Record<EffectKind, Record<string, unknown>>> = {
  probe: append({ detached: false, probe: ['test', '-s', PATH] }),
  file: { id: 'work', uses: 'file.put', with: { path: PATH, content: 'done\n' } },
  detached: append({ detached: true }),
  none: append({ detached: false }),
};

const runbookOf = (kind: EffectKind): string => `work-${kind}`;

/** Runs of one step each, on hosts of one sshd, whose effects can be counted. */
export class EffectStage {
  private constructor(
    readonly stack: TestStack,
    readonly sshd: Sshd,
    readonly held: HeldFinish,
    public worker: WorkerProcess,
    readonly hosts: number,
  ) {}

  static async start(hosts: number): Promise<EffectStage> {
    const [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, hosts);
    for (const kind of effectKinds) {
      await stack.addRunbook(runbookOf(kind), {
        inputs: { type: 'object', properties: { folder: { type: 'string' } } },
        targets: 'asset.kind == "server"',
        steps: [steps[kind]],
      });
    }
    const held = await HeldFinish.install(stack);
    return new EffectStage(stack, sshd, held, await stack.startWorker(), hosts);
  }

  async begin(kind: EffectKind): Promise<string> {
    const { id } = await this.stack.start(runbookOf(kind), { inputs: { folder: this.sshd.account.home } });
    return id;
  }

  /** How often it happened on each host of a run where it did. */
  async effects(runId: string): Promise<ReadonlyMap<string, number>> {
    const { home } = this.sshd.account;
    const files = (await readdir(home)).filter((file) => file.startsWith(runId));
    const counts = await Promise.all(
      files.map(async (file): Promise<[string, number]> => {
        const text = await readFile(join(home, file), 'utf8');
        return [file.slice(runId.length + 1), text.split('\n').filter((line) => line === 'done').length];
      }),
    );
    return new Map(counts.filter(([, count]) => count > 0));
  }

  /** What later steps would read of the step, on each host. */
  async outputs(runId: string): Promise<readonly { changed?: boolean }[]> {
    const rows: { output: { changed?: boolean } | null }[] = await this.stack.dataSource.query(
      `SELECT outputs -> 'work' AS output FROM run_target WHERE run_id = $1`,
      [runId],
    );
    return rows.map(({ output }) => output ?? {});
  }

  /** When the last target of the run came to be `unknown`, in milliseconds since the epoch; null: none did. */
  async lastUnknownAtMs(runId: string): Promise<number | null> {
    const rows: { at: Date | null }[] = await this.stack.dataSource.query(
      `SELECT max(ended_at) AS at FROM run_target WHERE run_id = $1 AND state = 'unknown'`,
      [runId],
    );
    return rows[0]?.at?.getTime() ?? null;
  }

  async close(): Promise<void> {
    await this.worker.stop();
    await this.sshd.stop();
    await this.stack.close();
  }
}
