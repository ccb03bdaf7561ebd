import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SshPool } from '@fettle/drivers';
import { failureOf, run, startSshBench, type SshBench } from '../support/ssh-client.js';

let ssh: SshBench;

beforeAll(async () => {
  ssh = await startSshBench();
}, 300_000);
afterAll(() => ssh?.stop(), 60_000);

describe('exec', () => {
  it('gives output and exit code', async () => {
    const ran = await ssh.run({ argv: ['sh', '-c', 'echo out; echo err >&2; exit 7'] });
    expect(ran.result).toMatchObject({ exitCode: 7, stdoutBytes: 4, stderrBytes: 4, truncated: false });
    expect(ran).toMatchObject({ stdout: 'out\n', stderr: 'err\n' });
  });

  it('gives the signal that ended the command', async () => {
    const ran = await ssh.run({ argv: ['sh', '-c', 'kill -SEGV $$'] });
    expect(ran.result).toMatchObject({ signal: 'SEGV' });
    expect(ran.result).not.toHaveProperty('exitCode');
  });

  it('adds no process: the command is the leader of the session', async () => {
    const ran = await ssh.run({ argv: ['cat', '/proc/self/stat'] });
    const [pid, , , parent, group, session] = ran.stdout.split(' ');
    expect([group, session]).toEqual([pid, pid]);
    expect(parent).not.toBe(pid);
  });

  it('says 127 for a program that does not exist', async () => {
    const ran = await ssh.run({ argv: ['no-such-program'] });
    expect(ran.result).toMatchObject({ exitCode: 127 });
  });

  it('passes arguments, variables and the working directory on unchanged', async () => {
    const odd = ["a'b", '$HOME `id` "x" \\', '', '-n', 'line\nfeed', '*', 'ünï→😀', '; exit 9'];
    const script = 'printf "%s\\0" "$@"; printf "%s\\0" "$ODD" "$FETTLE_EFFECT_TOKEN" "$PWD"';
    const ran = await ssh.run({
      argv: ['sh', '-c', script, 'sh', ...odd],
      env: { ODD: "it's\n$ODD" },
      cwd: '/usr/share',
      token: 'effect-1',
    });
    expect(ran.stdout.split('\0')).toEqual([...odd, "it's\n$ODD", 'effect-1', '/usr/share', '']);
  });

  it('feeds stdin from a buffer and from a stream', async () => {
    const bytes = Buffer.alloc(3_000_000, 'fettle\n');
    expect((await ssh.run({ argv: ['wc', '-c'], stdin: bytes })).stdout.trim()).toBe('3000000');
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let index = 0; index < 30; index += 1) yield Buffer.alloc(100_000, index);
    }
    expect((await ssh.run({ argv: ['wc', '-c'], stdin: chunks() })).stdout.trim()).toBe('3000000');
    expect((await ssh.run({ argv: ['true'], stdin: chunks() })).result).toMatchObject({
      exitCode: 0,
    });
    expect((await ssh.run({ argv: ['cat'] })).result).toMatchObject({
      exitCode: 0,
      stdoutBytes: 0,
    });
  });

  it('uses one connection for commands that start at once', async () => {
    const own = new SshPool();
    try {
      const ports = await Promise.all(
        Array.from({ length: 6 }, () =>
          run(own, ssh.endpoint, ssh.credential, { argv: ['sh', '-c', 'echo "$SSH_CLIENT"'] }),
        ),
      );
      expect(new Set(ports.map((ran) => ran.stdout)).size).toBe(1);
      expect(own.connections).toBe(1);
    } finally {
      await own.close();
    }
    expect(own.connections).toBe(0);
  });

  it('names what it refuses to send', async () => {
    for (const argv of [[], [''], ['-x'], ['echo', 'a\0b'], ['echo', 'x'.repeat(140_000)]]) {
      const error = await failureOf(ssh.run({ argv }));
      expect(error.code).toBe('invalid-argument');
      expect(error.detail).toMatchObject({ mayHaveStarted: false });
    }
    const noName = await failureOf(ssh.run({ argv: ['true'], env: { 'A;id': 'x' } }));
    expect(noName.code).toBe('invalid-argument');
    const noDirectory = await failureOf(ssh.run({ argv: ['true'], cwd: '/no/such' }));
    expect(noDirectory).toMatchObject({ code: 'working-directory-unavailable', detail: { mayHaveStarted: false } });
  });
});
