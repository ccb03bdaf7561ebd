import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';

describe('a run whose history grows long', () => {
  let server: ScratchTemporal;
  let temporal: TemporalClient;
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    // The server's own suggestion comes after 4,096 events.
    server = await startTemporal({ dynamicConfig: ['limit.historyCount.suggestContinueAsNew=12'] });
    [stack, sshd] = await Promise.all([TestStack.create({ temporalAddress: server.address }), startSshd()]);
    await stack.addHosts(sshd, 3);
    worker = await stack.startWorker();
    temporal = connectTemporal({
      address: server.address,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
  }, 120_000);

  afterAll(async () => {
    await temporal?.close();
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    await server?.close();
  });

  it('goes on in a new execution, and no step is done twice', async () => {
    await stack.addRunbook('patient', {
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'fourth_time',
          uses: 'ssh.script',
          // Each wait is long enough for the lane to come back to the workflow, which adds events.
          retry: { maxAttempts: 4, backoff: '3s', maxBackoff: '3s' },
          with: {
            script: 'f="$HOME/long-$1"; echo x >> "$f"; [ "$(wc -l < "$f")" -ge 4 ]',
            arguments: ['${{ asset.name }}'],
          },
        },
        { id: 'last', uses: 'ssh.run', with: { argv: ['true'] } },
      ],
    });
    const run = await stack.ended((await stack.start('patient')).id, 90_000);
    expect(run.error).toBeNull();
    expect(run.state).toBe('succeeded');
    for (const target of run.targets) {
      expect(await readFile(join(sshd.account.home, `long-${target.asset}`), 'utf8')).toBe('x\n'.repeat(4));
    }
    const [row] = await stack.dataSource.query<{ workflow_id: string; workflow_run_id: string }[]>(
      `SELECT workflow_id, workflow_run_id FROM run WHERE id = $1`,
      [run.id],
    );
    const last = await temporal.client.workflow.getHandle(row!.workflow_id).describe();
    expect(last.status.name).toBe('COMPLETED');
    // The one that claimed the run is not the one that ended it.
    expect(last.runId).not.toBe(row!.workflow_run_id);
  }, 120_000);
});
