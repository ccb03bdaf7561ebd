import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('steps on targets that read steps of the run', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let service: ScriptedService;

  beforeAll(async () => {
    [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
    await stack.addHosts(sshd, 3);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    await service?.close();
  });

  const get = (id: string) => ({
    ...{ id, uses: 'http.request', with: { url: service.url(`/${id}`) }, outputs: { status: 'result.status' } },
  });

  it('are given what those came to, and so is their undo', async () => {
    const said = 'printf "%s %s" "$1" "$2"';
    const status = 'got ${{ steps.ask.status }}';
    await stack.addRunbook('handed-on', {
      targets: 'asset.kind == "server"',
      rollback: 'all',
      steps: [
        get('ask'),
        {
          ...{ id: 'use', uses: 'ssh.script', if: 'steps.ask.status == 200' },
          with: { script: said, arguments: ['${{ asset.name }}', status], effect: 'mutating' },
          rollback: { uses: 'ssh.script', with: { script: said, arguments: ['undo', status] } },
        },
        get('later'),
        { id: 'fail', uses: 'ssh.script', with: { script: 'test "$1" != host-001', arguments: ['${{ asset.name }}'] } },
      ],
    });
    const { id } = await stack.start('handed-on');
    expect((await stack.ended(id)).state).toBe('failed');
    const logs: { text: string }[] = await stack.dataSource.query(
      `SELECT DISTINCT step || ': ' || body AS text FROM run_log WHERE run_id = $1 ORDER BY 1`,
      [id],
    );
    expect(logs.map(({ text }) => text)).toEqual([
      'use#undo: undo got 200',
      'use: host-000 got 200',
      'use: host-001 got 200',
      'use: host-002 got 200',
    ]);
  });
});
