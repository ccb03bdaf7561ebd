import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { releaseDetached, SshPool, stopDetached, type RunOnHost } from '@fettle/drivers';
import { DetachedBench, folderOf, hasBegun, marked, newMark, newToken, until } from '../support/detached.js';
import { credentialOf, endpointOf, failureOf, type SshBench } from '../support/ssh-client.js';
import { startSshd } from '../support/sshd.js';

let bench: DetachedBench;
let ssh: SshBench;

beforeAll(async () => {
  bench = await DetachedBench.start();
  ssh = bench.ssh;
}, 300_000);
afterAll(() => bench?.stop(), 60_000);

describe('the end of a detached command', () => {
  const stop = (token: string, fence: number, become?: { user: string }): ReturnType<typeof stopDetached> =>
    stopDetached(bench.onHost, ssh.endpoint, { token, fence, become, signal: AbortSignal.timeout(30_000) });

  it('is certain when it is stopped: all its processes are gone', async () => {
    for (const become of [undefined, { user: 'root' }, { user: 'nobody' }]) {
      const [token, mark] = [newToken(), newMark()];
      const argv = [
        'sh',
        '-c',
        `sh -c 'trap "" TERM; sleep ${mark}; :' & timeout ${mark} sleep ${mark} & sleep ${mark}`,
      ];
      await bench.run({ token, argv, become, followMs: 0 });
      await until('all run', async () => (await marked(mark)) >= 6);
      expect(await stop(token, 2, become)).toBe('stopped');
      expect((await bench.untilEnded(token, 3)).state).toMatchObject({ kind: 'ended', exitCode: 143 });
      await until('gone', async () => (await marked(mark)) === 0);
    }
  }, 60_000);

  it('is refused to whoever was overtaken', async () => {
    const [token, mark] = [newToken(), newMark()];
    await bench.run({ token, fence: 5, argv: ['sleep', mark], followMs: 0 });
    expect(await failureOf(stop(token, 4))).toMatchObject({ code: 'stale-request' });
    expect(await failureOf(bench.run({ token, fence: 3 }))).toMatchObject({ code: 'stale-request' });
    expect((await bench.look(token, 5)).state).toMatchObject({ kind: 'running' });
    expect(await stop(token, 5)).toBe('stopped');
  });

  it('keeps one that has not begun from ever beginning', async () => {
    const token = newToken();
    expect(await stop(token, 1)).toBe('never-began');
    const file = join(ssh.sshd.account.home, token);
    expect((await bench.run({ token, fence: 1, argv: ['touch', file] })).state).toEqual({ kind: 'void' });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('is told from a loss: the host was restarted, or somebody killed all of it', async () => {
    const [token, mark] = [newToken(), newMark()];
    await bench.run({ token, argv: ['sleep', mark], followMs: 0 });
    const claim = join(folderOf(ssh.endpoint.user, token), 'claim');
    const text = await readlink(claim);
    await rm(claim);
    await symlink(text.replace(/[^:]*$/, '00000000-another-boot'), claim);
    expect((await bench.look(token, 2)).state).toEqual({ kind: 'lost', reason: 'restarted' });
    await rm(claim);
    await symlink(text, claim);
    await promisify(execFile)('pkill', ['-KILL', '-s', text.split(':')[4]!]);
    await until('gone', async () => (await marked(mark)) === 0);
    expect((await bench.look(token, 3)).state).toEqual({ kind: 'lost', reason: 'gone' });
  });

  it('leaves the claim when the folder is cleared, so that nothing begins late', async () => {
    const token = newToken();
    await bench.run({ token, argv: ['echo', 'x'] });
    await releaseDetached(bench.onHost, ssh.endpoint, { token, fence: 1 }, AbortSignal.timeout(30_000));
    expect((await readdir(folderOf(ssh.endpoint.user, token))).sort()).toEqual(['claim', 'fence']);
    const file = join(ssh.sshd.account.home, token);
    expect((await bench.run({ token, argv: ['touch', file] })).state).toEqual({ kind: 'lost', reason: 'gone' });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('is not taken for a beginning where the folder may have been lost with a restart', async () => {
    const file = join(ssh.sshd.account.home, newToken());
    // Longer ago than the host is up.
    const elapsedMs = Math.ceil(uptime() * 1000) + 3_600_000;
    const seen = await bench.run({ fence: 2, elapsedMs, argv: ['touch', file] });
    expect(seen.state).toEqual({ kind: 'lost', reason: 'vanished' });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
    // A little while ago: nobody was there, so it begins now.
    expect((await bench.run({ fence: 2, elapsedMs: 1_000, argv: ['touch', file] })).state).toMatchObject({
      kind: 'ended',
      exitCode: 0,
    });
  });
});

describe('a host that is not as usual', () => {
  it('without setsid runs it all the same', async () => {
    const other = await startSshd({ settings: ['SetEnv PATH=/tmp/fettle-no-setsid'] });
    const bin = '/tmp/fettle-no-setsid';
    await mkdir(bin, { recursive: true });
    await promisify(execFile)('sh', [
      '-c',
      `for p in /bin/* /usr/bin/*; do ln -sf "$p" ${bin}/; done; rm ${bin}/setsid`,
    ]);
    const pool = new SshPool();
    const endpoint = await endpointOf(other);
    const run: RunOnHost = (request) => pool.exec(endpoint, credentialOf(other), request);
    try {
      const token = newToken();
      const mark = newMark();
      const failed = failureOf(
        bench.run({ token, argv: ['sh', '-c', 'command -v setsid; sleep 2; echo on'] }, run, endpoint),
      );
      await until('begun', () => hasBegun(endpoint.user, token));
      await other.cutSessions();
      expect(await failed).toMatchObject({ code: 'connection-lost' });
      const found = await bench.run({ token, fence: 2, elapsedMs: 1_000 }, run, endpoint);
      expect(found).toMatchObject({ state: { kind: 'ended', exitCode: 0 }, stdout: 'on\n' });
      const next = newToken();
      await bench.run({ token: next, argv: ['sh', '-c', `sleep ${mark} & sleep ${mark}`], followMs: 0 }, run, endpoint);
      expect(await stopDetached(run, endpoint, { token: next, fence: 1, signal: AbortSignal.timeout(30_000) })).toBe(
        'stopped',
      );
      expect(await marked(mark)).toBe(0);
    } finally {
      await pool.close();
      await other.stop();
      await rm(bin, { recursive: true });
      await rm(folderOf(endpoint.user), { recursive: true, force: true });
    }
  }, 60_000);

  it('says where a folder is somebody else’s', async () => {
    const account = ssh.sshd.accounts[1]!;
    const endpoint = { ...ssh.endpoint, user: account.user };
    const run: RunOnHost = (request) =>
      ssh.pool.exec(endpoint, { kind: 'private-key', privateKey: account.privateKey }, request);
    await rm(folderOf(account.user), { recursive: true, force: true });
    await mkdir(folderOf(account.user));
    try {
      const error = await failureOf(bench.run({}, run, endpoint));
      expect(error).toMatchObject({
        code: 'detach-impossible',
        detail: { mayHaveStarted: false, host: endpoint.host },
      });
      expect(error.message).toContain(folderOf(account.user).replace(/\/$/, ''));
      expect(error.remedy).toContain('detached: false');
    } finally {
      await rm(folderOf(account.user), { recursive: true });
    }
  });
});
