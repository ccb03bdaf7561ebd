import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SshPool } from '@fettle/drivers';
import { credentialOf, endpointOf, failureOf, run, startSshBench, type SshBench } from '../support/ssh-client.js';
import { startSshd } from '../support/sshd.js';

let ssh: SshBench;

beforeAll(async () => {
  ssh = await startSshBench({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }, { killGraceMs: 500 });
}, 300_000);
afterAll(() => ssh?.stop(), 60_000);

/** Processes whose arguments hold a mark, by `pgrep -f`; the mark is unique to the test. */
async function marked(mark: string): Promise<number> {
  const found = await promisify(execFile)('pgrep', ['-c', '-f', mark]).catch((error: { stdout: string }) => error);
  return Number(found.stdout);
}

async function untilMarked(mark: string, count: number): Promise<void> {
  for (let tries = 0; (await marked(mark)) < count; tries += 1) {
    if (tries > 300) throw new Error(`only ${await marked(mark)} of ${count} processes came up`);
    await sleep(50);
  }
}

let marks = 0;
function newMark(): string {
  marks += 1;
  return `86${process.pid}${marks}`;
}

/** A tree: a child, a grandchild, one in a process group of its own (timeout) and one that ignores TERM. */
function tree(mark: string): readonly string[] {
  const script = `sh -c 'sleep ${mark} & sleep ${mark}' & timeout ${mark} sleep ${mark} & sh -c 'trap "" TERM; sleep ${mark}; :' & wait`;
  return ['sh', '-c', script];
}
const TREE_PROCESSES = 8;

describe('a command that must end', () => {
  it('is ended with all its processes when cancelled', async () => {
    const mark = newMark();
    const abort = new AbortController();
    const failed = failureOf(ssh.run({ argv: tree(mark), signal: abort.signal }));
    await untilMarked(mark, TREE_PROCESSES);
    abort.abort();
    expect(await failed).toMatchObject({ code: 'cancelled', detail: { mayHaveStarted: true, confirmed: true } });
    expect(await marked(mark)).toBe(0);
  }, 60_000);

  it('is ended when its time is over', async () => {
    const mark = newMark();
    const error = await failureOf(ssh.run({ argv: tree(mark), timeoutMs: 1_500 }));
    expect(error).toMatchObject({ code: 'command-timeout', detail: { mayHaveStarted: true, confirmed: true } });
    expect(await marked(mark)).toBe(0);
  }, 60_000);

  it('is ended as the user that it became', async () => {
    for (const settings of [{ user: 'root' }, { user: 'nobody' }]) {
      const mark = newMark();
      const abort = new AbortController();
      const failed = failureOf(ssh.run({ argv: tree(mark), become: settings, signal: abort.signal }));
      await untilMarked(mark, TREE_PROCESSES);
      abort.abort();
      expect(await failed).toMatchObject({ code: 'cancelled', detail: { mayHaveStarted: true, confirmed: true } });
      expect(await marked(mark)).toBe(0);
    }
  }, 60_000);

  it('is ended when its output cannot be taken', async () => {
    const mark = newMark();
    const error = await failureOf(
      ssh.run({
        argv: ['sh', '-c', `echo x; exec sleep ${mark}`],
        onOutput: () => Promise.reject(new Error('the disk is full')),
      }),
    );
    expect(error).toMatchObject({ code: 'output-sink-failed', detail: { mayHaveStarted: true } });
    expect(await marked(mark)).toBe(0);
  });

  it('is not sent when cancelled before', async () => {
    const error = await failureOf(ssh.run({ argv: ['true'], signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ code: 'cancelled', detail: { mayHaveStarted: false } });
  });

  it('can be ended when all places on its connection are taken', async () => {
    const own = new SshPool({ channelsPerConnection: 2, maxConnectionsPerTarget: 1, killGraceMs: 500 });
    const mark = newMark();
    const abort = new AbortController();
    const both = [1, 2].map(() =>
      failureOf(run(own, ssh.endpoint, ssh.credential, { argv: ['sleep', mark], signal: abort.signal })),
    );
    await untilMarked(mark, 2);
    abort.abort();
    for (const error of await Promise.all(both)) expect(error.detail).toMatchObject({ confirmed: true });
    expect(await marked(mark)).toBe(0);
    await own.close();
  }, 60_000);
});

describe('a command that leaves a process behind', () => {
  it('ends when it ends, though its output stays open', async () => {
    const own = new SshPool({ lingerMs: 300 });
    const ran = await run(own, ssh.endpoint, ssh.credential, { argv: ['sh', '-c', 'sleep 20 & echo started'] });
    expect(ran).toMatchObject({ result: { exitCode: 0, leftBehind: true }, stdout: 'started\n' });
    await own.close();
  });
});

describe('a connection that is lost', () => {
  it('says that the command may have run', async () => {
    const mark = newMark();
    const failed = failureOf(ssh.run({ argv: ['sleep', mark] }));
    await untilMarked(mark, 1);
    await ssh.sshd.cutSessions();
    expect(await failed).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: true } });
    expect((await ssh.run({ argv: ['true'] })).result).toMatchObject({ exitCode: 0 });
  }, 60_000);

  it('is noticed when the host hangs', async () => {
    const own = new SshPool({ keepaliveIntervalMs: 200 });
    const mark = newMark();
    const failed = failureOf(run(own, ssh.endpoint, ssh.credential, { argv: ['sleep', mark] }));
    await untilMarked(mark, 1);
    await ssh.sshd.freezeSessions();
    expect(await failed).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: true } });
    await ssh.sshd.cutSessions();
    await own.close();
  }, 60_000);

  it('does not fail commands that come later', async () => {
    await ssh.run({ argv: ['true'] });
    await ssh.sshd.restart();
    for (let index = 0; index < 3; index += 1) {
      expect((await ssh.run({ argv: ['true'] })).result).toMatchObject({ exitCode: 0 });
    }
  }, 60_000);
});

describe('a shell that is none', () => {
  it('is told apart from the command', async () => {
    const other = await startSshd({ users: [{ shell: '/usr/sbin/nologin' }] });
    try {
      const error = await failureOf(run(ssh.pool, await endpointOf(other), credentialOf(other), { argv: ['true'] }));
      expect(error).toMatchObject({ code: 'remote-shell-unusable', detail: { mayHaveStarted: false } });
    } finally {
      await other.stop();
    }
  }, 60_000);

  it('is not one that runs the command and keeps its standard error to itself', async () => {
    const other = await startSshd({ settings: ['ForceCommand sh -c "$SSH_ORIGINAL_COMMAND" 2>&1'] });
    try {
      const mark = `${other.account.home}/ran`;
      const failed = run(ssh.pool, await endpointOf(other), credentialOf(other), { argv: ['touch', mark] });
      const error = await failureOf(failed);
      expect(error).toMatchObject({ code: 'remote-shell-unusable', detail: { mayHaveStarted: true } });
      expect(existsSync(mark)).toBe(true);
    } finally {
      await other.stop();
    }
  }, 60_000);
});
