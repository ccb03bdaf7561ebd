import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('a host whose key changed', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 3);
    await stack.addRunbook('touch', {
      targets: 'asset.kind == "server"',
      steps: [{ id: 'touch', uses: 'ssh.run', with: { argv: ['touch', 'touched'] }, retry: { maxAttempts: 3 } }],
    });
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  it('is quarantined before any authentication, and the next run does not even connect', async () => {
    await sshd.changeHostKey('ed25519');
    await sshd.restart();
    const first = await stack.ended((await stack.start('touch')).id);
    expect(first).toMatchObject({ state: 'failed', counts: { quarantined: 3 } });
    for (const target of first.targets) {
      expect(target).toMatchObject({ state: 'quarantined', error: { code: 'host-key-mismatch' } });
      // No retry: a changed key does not go away by itself.
      expect(target.steps.map((step) => [step.attempt, step.state])).toEqual([[1, 'quarantined']]);
    }
    const assets: { reason: string | null }[] = await stack.dataSource.query(
      `SELECT quarantine_reason AS reason FROM asset`,
    );
    for (const { reason } of assets) expect(reason).toMatch(/SHA256:/);
    const log = await sshd.log();
    expect(log).toMatch(/Connection from 127\.0\.0\.1/);
    // sshd logs at DEBUG1 each attempt to authenticate, the `none` with which a client asks for the methods included.
    expect(log).not.toMatch(/userauth-request|Accepted |Failed |Postponed /);

    await sshd.restart();
    const second = await stack.ended((await stack.start('touch')).id);
    expect(second).toMatchObject({ state: 'failed', counts: { quarantined: 3 } });
    for (const target of second.targets) expect(target.error).toMatchObject({ code: 'asset-quarantined' });
    // The probe that waits for sshd connects once and says nothing; nothing else does.
    expect((await sshd.log()).match(/Connection from/g)).toHaveLength(1);
  }, 120_000);

  it('proves that the log would show an authentication', async () => {
    await stack.dataSource.query(`UPDATE asset SET quarantined_at = NULL, quarantine_reason = NULL`);
    await stack.dataSource.query(`UPDATE endpoint SET host_keys = $1`, [await sshd.hostKeys()]);
    const run = await stack.ended((await stack.start('touch')).id);
    expect(run.state).toBe('succeeded');
    expect(await sshd.log()).toMatch(/userauth-request|Accepted publickey/);
  }, 60_000);
});
