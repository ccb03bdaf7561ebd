import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DETACHED_HEAD_BYTES, DETACHED_TAIL_BYTES, type RunOnHost } from '@fettle/drivers';
import { DetachedBench, folderOf, hasBegun, marked, newMark, newToken, until, whole } from '../support/detached.js';
import { failureOf, type SshBench } from '../support/ssh-client.js';

let bench: DetachedBench;
let ssh: SshBench;

beforeAll(async () => {
  bench = await DetachedBench.start();
  ssh = bench.ssh;
}, 300_000);
afterAll(() => bench?.stop(), 60_000);

const steps = (file: string): string[] => [
  'sh',
  '-c',
  `echo begun >>${file}; sleep 2; echo ended; echo ended >>${file}; exit 7`,
];

describe('a detached command', () => {
  it('gives output and exit code as an attached one does', async () => {
    const script = 'cat; printf "%s|" "$@" "$FETTLE_EFFECT_TOKEN" "$PWD"; printf "\\0\\n\\377" >&2; exit 3';
    const ran = await bench.run({
      argv: ['sh', '-c', script, 'sh', "a 'b' $c", ''],
      stdin: Buffer.from('in\nput'),
      env: { FETTLE_EFFECT_TOKEN: "it's\nme" },
      cwd: '/usr/bin',
    });
    expect(ran).toEqual({
      state: { kind: 'ended', exitCode: 3, ...whole },
      stdout: "in\nputa 'b' $c||it's\nme|/usr/bin|",
      stderr: '\0\n\ufffd',
    });
  });

  it('can be interrupted, and keeps its variables and input out of the list of processes', async () => {
    const secret = newMark();
    const token = newToken();
    const argv = ['sh', '-c', 'sleep 1; sh -c \'trap "exit 9" INT; kill -INT $$\''];
    const ran = bench.run({
      token,
      argv,
      env: { SECRET: secret },
      stdin: Buffer.from(secret),
      become: { user: 'nobody' },
    });
    await until('begun', () => hasBegun(ssh.endpoint.user, token));
    expect(await marked(secret)).toBe(0);
    expect((await ran).state).toMatchObject({ kind: 'ended', exitCode: 9 });
  });

  it('is started once, whoever asks: two that race, and all that come later', async () => {
    const token = newToken();
    const file = join(ssh.sshd.account.home, token);
    const both = await Promise.all(
      [1, 2, 3].map((fence) => bench.run({ token, fence, argv: steps(file) }).catch((error: unknown) => error)),
    );
    const late = await bench.run({ token, fence: 9, elapsedMs: 1_000, argv: steps(file) });
    expect(late.state).toEqual({ kind: 'ended', exitCode: 7, ...whole });
    expect(late.stdout).toBe('ended\n');
    // Those that were overtaken were refused.
    for (const one of both) {
      if (one instanceof Error) expect(one).toMatchObject({ code: 'stale-request' });
      else expect(one).toMatchObject({ state: late.state });
    }
    expect(await readFile(file, 'utf8')).toBe('begun\nended\n');
  }, 60_000);

  it.each(['cut', 'restart'] as const)(
    'lives on when its connection is lost (%s), and is found by its token',
    async (how) => {
      const token = newToken();
      const file = join(ssh.sshd.account.home, token);
      const failed = failureOf(bench.run({ token, argv: steps(file) }));
      await until('begun', () => hasBegun(ssh.endpoint.user, token));
      await (how === 'cut' ? ssh.sshd.cutSessions() : ssh.sshd.restart());
      expect(await failed).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: true } });
      const found = await bench.untilEnded(token, 2);
      expect(found).toMatchObject({ state: { kind: 'ended', exitCode: 7, ...whole } });
      expect(await readFile(file, 'utf8')).toBe('begun\nended\n');
      // Asked again, with nothing taken before, all output is there.
      expect((await bench.look(token, 3)).stdout).toBe('ended\n');
    },
    60_000,
  );

  it('is left to itself after a while, and gives what is new when it is asked again', async () => {
    const token = newToken();
    const argv = ['sh', '-c', 'echo one; sleep 3; echo two; echo err >&2'];
    const first = await bench.run({ token, argv, followMs: 1_000 });
    expect(first).toMatchObject({ state: { kind: 'running' }, stdout: 'one\n' });
    const rest = await bench.run({ token, fence: 2, argv, elapsedMs: 1_000, consumed: { stdout: 4, stderr: 0 } });
    expect(rest).toEqual({ state: { kind: 'ended', exitCode: 0, ...whole }, stdout: 'two\n', stderr: 'err\n' });
  }, 60_000);

  it('is ended by the host itself when its time is over', async () => {
    const mark = newMark();
    for (const become of [undefined, { user: 'root' }, { user: 'nobody' }]) {
      const token = newToken();
      const argv = [
        'sh',
        '-c',
        `echo said; sh -c 'trap "" TERM; sleep ${mark}; :' & timeout ${mark} sleep ${mark} & sleep ${mark}`,
      ];
      // Nobody stays to see it.
      const seen = await bench.run({ token, argv, become, timeoutMs: 2_000, followMs: 0 });
      expect(seen.state).toMatchObject({ kind: 'running' });
      expect((await bench.untilEnded(token, 2)).state).toMatchObject({ kind: 'ended', isTimeout: true });
      await until('gone', async () => (await marked(mark)) === 0);
    }
  }, 120_000);

  it('keeps the first and the last of its output and counts the rest', async () => {
    const bytes = DETACHED_HEAD_BYTES + DETACHED_TAIL_BYTES + 1_000_000;
    const argv = ['sh', '-c', `echo first; head -c ${bytes} /dev/zero; echo last; echo x >&2`];
    const token = newToken();
    const ran = await bench.run({ token, argv });
    expect(ran.state).toEqual({
      kind: 'ended',
      exitCode: 0,
      ...whole,
      droppedBytes: 1_000_000 + 'first\nlast\n'.length,
    });
    const isWhole = (text: string): boolean =>
      text.length === DETACHED_HEAD_BYTES + DETACHED_TAIL_BYTES &&
      text.startsWith('first\n') &&
      text.endsWith('last\n');
    expect(isWhole(ran.stdout)).toBe(true);
    expect(ran.stderr).toBe('x\n');
    // Taken up in the middle of the last part.
    const taken = DETACHED_HEAD_BYTES + DETACHED_TAIL_BYTES - 'last\n'.length;
    expect((await bench.look(token, 2, { consumed: { stdout: taken, stderr: 0 } })).stdout).toBe('last\n');
  }, 60_000);

  it('ends when it ends, though a process that it left behind keeps its output open', async () => {
    const ran = await bench.run({ argv: ['sh', '-c', 'sleep 20 & echo started'] });
    expect(ran).toMatchObject({ state: { kind: 'ended', exitCode: 0, leftBehind: true }, stdout: 'started\n' });
  }, 30_000);
});

describe('a detached command that becomes somebody', () => {
  it('runs as that user; its folder stays with the one who logs in', async () => {
    const token = newToken();
    const ran = await bench.run({
      token,
      argv: ['sh', '-c', 'id -un; cat; printf %s "$VALUE"; exit 4'],
      stdin: Buffer.from('input\n'),
      env: { VALUE: 'v' },
      become: { user: 'nobody' },
      cwd: '/usr',
    });
    expect(ran).toMatchObject({ state: { kind: 'ended', exitCode: 4 }, stdout: 'nobody\ninput\nv', stderr: '' });
    expect(await readdir(folderOf(ssh.endpoint.user, token))).toContain('exit');
  });

  it('gives sudo its password, and says what sudo said to a wrong one', async () => {
    const account = ssh.sshd.accounts[1]!;
    const endpoint = { ...ssh.endpoint, user: account.user };
    const run: RunOnHost = (request) =>
      ssh.pool.exec(endpoint, { kind: 'private-key', privateKey: account.privateKey }, request);
    const argv = ['sh', '-c', 'id -un; cat'];
    // The second time sudo may remember the first.
    for (const stdin of [undefined, Buffer.from('input')]) {
      const ran = await bench.run({ argv, stdin, become: { password: 'open sesame' } }, run, endpoint);
      expect(ran).toMatchObject({
        state: { kind: 'ended', exitCode: 0 },
        stdout: `root\n${stdin?.toString() ?? ''}`,
        stderr: '',
      });
    }
    await promisify(execFile)('rm', ['-rf', `/run/sudo/ts/${account.user}`]);
    const token = newToken();
    const error = await failureOf(bench.run({ token, argv, become: { password: 'wrong' } }, run, endpoint));
    expect(error).toMatchObject({ code: 'become-failed', detail: { mayHaveStarted: false } });
    expect(error.message).toContain('sudo');
    expect(error.message).not.toContain('wrong');
  }, 60_000);

  it('says where it cannot enter the directory', async () => {
    for (const become of [undefined, { user: 'nobody' }]) {
      const error = await failureOf(bench.run({ cwd: '/nowhere', become }));
      expect(error).toMatchObject({ code: 'working-directory-unavailable', detail: { mayHaveStarted: false } });
      expect(error.message).toContain('/nowhere');
    }
  });
});
