import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  MAX_DETACHED_OUTPUT_BYTES,
  SshPool,
  releaseDetached,
  runDetached,
  stopDetached,
  type DetachedRequest,
  type DetachedState,
  type RunOnHost,
} from '@fettle/drivers';
import { credentialOf, endpointOf, failureOf, startSshBench, type SshBench } from '../support/ssh-client.js';
import { startSshd } from '../support/sshd.js';

let ssh: SshBench;
let onHost: RunOnHost;

beforeAll(async () => {
  ssh = await startSshBench({
    users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }, { password: 'open sesame', sudoers: 'ALL=(ALL) ALL' }],
  });
  onHost = (request) => ssh.pool.exec(ssh.endpoint, ssh.credential, request);
}, 300_000);
afterAll(async () => {
  await ssh?.stop();
  for (const account of ssh?.sshd.accounts ?? []) await rm(folderOf(account.user), { recursive: true, force: true });
}, 60_000);

function folderOf(user: string, token = ''): string {
  return join(`/var/tmp/fettle-${user}`, token);
}

const newToken = (): string => randomBytes(16).toString('hex');

interface Detached {
  readonly state: DetachedState;
  readonly stdout: string;
  readonly stderr: string;
}

async function detached(
  request: Partial<DetachedRequest>,
  run: RunOnHost = onHost,
  endpoint = ssh.endpoint,
): Promise<Detached> {
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const state = await runDetached(run, endpoint, {
    token: newToken(),
    fence: 1,
    argv: ['true'],
    timeoutMs: 60_000,
    elapsedMs: 0,
    consumed: { stdout: 0, stderr: 0 },
    followMs: 20_000,
    signal: new AbortController().signal,
    onOutput: (stream, chunk) => void output[stream].push(Buffer.from(chunk)),
    ...request,
  });
  const text = (stream: 'stdout' | 'stderr'): string => Buffer.concat(output[stream]).toString();
  return { state, stdout: text('stdout'), stderr: text('stderr') };
}

/** Resolves when a condition holds; throws after half a minute. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries += 1) {
    if (tries > 600) throw new Error(`never: ${what}`);
    await sleep(50);
  }
}

let marks = 0;
const newMark = (): string => `97${process.pid}${(marks += 1)}`;

async function marked(mark: string): Promise<number> {
  const found = await promisify(execFile)('pgrep', ['-c', '-f', mark]).catch((error: { stdout: string }) => error);
  return Number(found.stdout);
}

const hasBegun = (token: string, user = ssh.endpoint.user): Promise<boolean> =>
  readFile(join(folderOf(user, token), 'begun'), 'utf8').then(
    (text) => text.endsWith('\n'),
    () => false,
  );

/** The state of a command, asked for once and at once. */
const look = (token: string, fence: number, more: Partial<DetachedRequest> = {}): Promise<Detached> =>
  detached({ token, fence, elapsedMs: 1_000, followMs: 0, ...more });

async function untilEnded(token: string, fence: number): Promise<Detached> {
  for (let tries = 0; tries < 100; tries += 1) {
    const seen = await look(token, fence, { followMs: 2_000 }).catch(() => undefined);
    if (seen !== undefined && seen.state.kind !== 'running') return seen;
    await sleep(200);
  }
  throw new Error('the command never ended');
}

const whole = { isTimeout: false, leftBehind: false, droppedBytes: 0 };
const steps = (file: string): string[] => [
  'sh',
  '-c',
  `echo begun >>${file}; sleep 2; echo ended; echo ended >>${file}; exit 7`,
];

describe('a detached command', () => {
  it('gives output and exit code as an attached one does', async () => {
    const script = 'cat; printf "%s|" "$@" "$FETTLE_EFFECT_TOKEN" "$PWD"; printf "\\0\\n\\377" >&2; exit 3';
    const ran = await detached({
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
    const ran = detached({
      token,
      argv,
      env: { SECRET: secret },
      stdin: Buffer.from(secret),
      become: { user: 'nobody' },
    });
    await until('begun', () => hasBegun(token));
    expect(await marked(secret)).toBe(0);
    expect((await ran).state).toMatchObject({ kind: 'ended', exitCode: 9 });
  });

  it('is started once, whoever asks: two that race, and all that come later', async () => {
    const token = newToken();
    const file = join(ssh.sshd.account.home, token);
    const both = await Promise.all(
      [1, 2, 3].map((fence) => detached({ token, fence, argv: steps(file) }).catch((error: unknown) => error)),
    );
    const late = await detached({ token, fence: 9, elapsedMs: 1_000, argv: steps(file) });
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
      const failed = failureOf(detached({ token, argv: steps(file) }));
      await until('begun', () => hasBegun(token));
      await (how === 'cut' ? ssh.sshd.cutSessions() : ssh.sshd.restart());
      expect(await failed).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: true } });
      const found = await untilEnded(token, 2);
      expect(found).toMatchObject({ state: { kind: 'ended', exitCode: 7, ...whole } });
      expect(await readFile(file, 'utf8')).toBe('begun\nended\n');
      // Asked again, with nothing taken before, all output is there.
      expect((await look(token, 3)).stdout).toBe('ended\n');
    },
    60_000,
  );

  it('is left to itself after a while, and gives what is new when it is asked again', async () => {
    const token = newToken();
    const argv = ['sh', '-c', 'echo one; sleep 3; echo two; echo err >&2'];
    const first = await detached({ token, argv, followMs: 1_000 });
    expect(first).toMatchObject({ state: { kind: 'running' }, stdout: 'one\n' });
    const rest = await detached({ token, fence: 2, argv, elapsedMs: 1_000, consumed: { stdout: 4, stderr: 0 } });
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
      const seen = await detached({ token, argv, become, timeoutMs: 2_000, followMs: 0 });
      expect(seen.state).toMatchObject({ kind: 'running' });
      expect((await untilEnded(token, 2)).state).toMatchObject({ kind: 'ended', isTimeout: true });
      await until('gone', async () => (await marked(mark)) === 0);
    }
  }, 120_000);

  it('keeps its output up to a limit and counts the rest', async () => {
    const bytes = MAX_DETACHED_OUTPUT_BYTES + 1_000_000;
    const ran = await detached({ argv: ['sh', '-c', `head -c ${bytes} /dev/zero; echo x >&2`] });
    expect(ran.state).toEqual({ kind: 'ended', exitCode: 0, ...whole, droppedBytes: 1_000_000 });
    expect(ran.stdout).toHaveLength(MAX_DETACHED_OUTPUT_BYTES);
  }, 60_000);

  it('ends when it ends, though a process that it left behind keeps its output open', async () => {
    const ran = await detached({ argv: ['sh', '-c', 'sleep 20 & echo started'] });
    expect(ran).toMatchObject({ state: { kind: 'ended', exitCode: 0, leftBehind: true }, stdout: 'started\n' });
  }, 30_000);
});

describe('a detached command that becomes somebody', () => {
  it('runs as that user; its folder stays with the one who logs in', async () => {
    const token = newToken();
    const ran = await detached({
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
      const ran = await detached({ argv, stdin, become: { password: 'open sesame' } }, run, endpoint);
      expect(ran).toMatchObject({
        state: { kind: 'ended', exitCode: 0 },
        stdout: `root\n${stdin?.toString() ?? ''}`,
        stderr: '',
      });
    }
    await promisify(execFile)('rm', ['-rf', `/run/sudo/ts/${account.user}`]);
    const token = newToken();
    const error = await failureOf(detached({ token, argv, become: { password: 'wrong' } }, run, endpoint));
    expect(error).toMatchObject({ code: 'become-failed', detail: { mayHaveStarted: false } });
    expect(error.message).toContain('sudo');
    expect(error.message).not.toContain('wrong');
  }, 60_000);

  it('says where it cannot enter the directory', async () => {
    for (const become of [undefined, { user: 'nobody' }]) {
      const error = await failureOf(detached({ cwd: '/nowhere', become }));
      expect(error).toMatchObject({ code: 'working-directory-unavailable', detail: { mayHaveStarted: false } });
      expect(error.message).toContain('/nowhere');
    }
  });
});

describe('the end of a detached command', () => {
  const stop = (token: string, fence: number, become?: { user: string }): ReturnType<typeof stopDetached> =>
    stopDetached(onHost, ssh.endpoint, { token, fence, become, signal: AbortSignal.timeout(30_000) });

  it('is certain when it is stopped: all its processes are gone', async () => {
    for (const become of [undefined, { user: 'root' }, { user: 'nobody' }]) {
      const [token, mark] = [newToken(), newMark()];
      const argv = [
        'sh',
        '-c',
        `sh -c 'trap "" TERM; sleep ${mark}; :' & timeout ${mark} sleep ${mark} & sleep ${mark}`,
      ];
      await detached({ token, argv, become, followMs: 0 });
      await until('all run', async () => (await marked(mark)) >= 6);
      expect(await stop(token, 2, become)).toBe('stopped');
      expect((await untilEnded(token, 3)).state).toMatchObject({ kind: 'ended', exitCode: 143 });
      await until('gone', async () => (await marked(mark)) === 0);
    }
  }, 60_000);

  it('is refused to whoever was overtaken', async () => {
    const [token, mark] = [newToken(), newMark()];
    await detached({ token, fence: 5, argv: ['sleep', mark], followMs: 0 });
    expect(await failureOf(stop(token, 4))).toMatchObject({ code: 'stale-request' });
    expect(await failureOf(detached({ token, fence: 3 }))).toMatchObject({ code: 'stale-request' });
    expect((await look(token, 5)).state).toMatchObject({ kind: 'running' });
    expect(await stop(token, 5)).toBe('stopped');
  });

  it('keeps one that has not begun from ever beginning', async () => {
    const token = newToken();
    expect(await stop(token, 1)).toBe('never-began');
    const file = join(ssh.sshd.account.home, token);
    expect((await detached({ token, fence: 1, argv: ['touch', file] })).state).toEqual({ kind: 'void' });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('is told from a loss: the host was restarted, or somebody killed all of it', async () => {
    const [token, mark] = [newToken(), newMark()];
    await detached({ token, argv: ['sleep', mark], followMs: 0 });
    const claim = join(folderOf(ssh.endpoint.user, token), 'claim');
    const text = await readlink(claim);
    await rm(claim);
    await symlink(text.replace(/[^:]*$/, '00000000-another-boot'), claim);
    expect((await look(token, 2)).state).toEqual({ kind: 'lost', reason: 'restarted' });
    await rm(claim);
    await symlink(text, claim);
    await promisify(execFile)('pkill', ['-KILL', '-s', text.split(':')[4]!]);
    await until('gone', async () => (await marked(mark)) === 0);
    expect((await look(token, 3)).state).toEqual({ kind: 'lost', reason: 'gone' });
  });

  it('leaves the claim when the folder is cleared, so that nothing begins late', async () => {
    const token = newToken();
    await detached({ token, argv: ['echo', 'x'] });
    await releaseDetached(onHost, ssh.endpoint, { token, fence: 1 }, AbortSignal.timeout(30_000));
    expect((await readdir(folderOf(ssh.endpoint.user, token))).sort()).toEqual(['claim', 'fence']);
    const file = join(ssh.sshd.account.home, token);
    expect((await detached({ token, argv: ['touch', file] })).state).toEqual({ kind: 'lost', reason: 'gone' });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('is not taken for a beginning where the folder may have been lost with a restart', async () => {
    const file = join(ssh.sshd.account.home, newToken());
    // Longer ago than the host is up.
    const seen = await detached({ fence: 2, elapsedMs: 80_000_000, argv: ['touch', file] });
    expect(seen.state).toEqual({ kind: 'lost', reason: 'vanished' });
    await expect(readFile(file)).rejects.toThrow('ENOENT');
    // A little while ago: nobody was there, so it begins now.
    expect((await detached({ fence: 2, elapsedMs: 1_000, argv: ['touch', file] })).state).toMatchObject({
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
        detached({ token, argv: ['sh', '-c', 'command -v setsid; sleep 2; echo on'] }, run, endpoint),
      );
      await until('begun', () => hasBegun(token, endpoint.user));
      await other.cutSessions();
      expect(await failed).toMatchObject({ code: 'connection-lost' });
      const found = await detached({ token, fence: 2, elapsedMs: 1_000 }, run, endpoint);
      expect(found).toMatchObject({ state: { kind: 'ended', exitCode: 0 }, stdout: 'on\n' });
      const next = newToken();
      await detached({ token: next, argv: ['sh', '-c', `sleep ${mark} & sleep ${mark}`], followMs: 0 }, run, endpoint);
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
      const error = await failureOf(detached({}, run, endpoint));
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
