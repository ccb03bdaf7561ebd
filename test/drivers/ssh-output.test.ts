import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSshBench, type SshBench } from '../support/ssh-client.js';

let ssh: SshBench;

beforeAll(async () => {
  ssh = await startSshBench();
}, 300_000);
afterAll(() => ssh?.stop(), 60_000);

describe('output', () => {
  it('arrives whole and in order, with any bytes', async () => {
    const script = 'head -c 20000000 /dev/urandom | tee "$0" ; sha256sum <"$0" >&2; rm -f -- "$0"';
    const digest = createHash('sha256');
    const errors: Buffer[] = [];
    const { result } = await ssh.run({
      argv: ['sh', '-c', script, `${ssh.sshd.account.home}/random`],
      onOutput: (stream, chunk) => void (stream === 'stdout' ? digest.update(chunk) : errors.push(chunk)),
    });
    expect(result).toMatchObject({ exitCode: 0, stdoutBytes: 20_000_000 });
    expect(Buffer.concat(errors).toString().split(' ')[0]).toBe(digest.digest('hex'));
  }, 60_000);

  it('is counted and thrown away beyond the limit; the command ends as it would', async () => {
    let taken = 0;
    const { result } = await ssh.run({
      argv: ['sh', '-c', 'head -c 50000000 /dev/zero; echo end >&2; exit 5'],
      maxOutputBytes: 100_001,
      onOutput: (_stream, chunk) => void (taken += chunk.length),
    });
    expect(result).toMatchObject({ exitCode: 5, stdoutBytes: 50_000_000, stderrBytes: 4, truncated: true });
    expect(taken).toBe(100_001);
  }, 60_000);

  it('is not read faster than it is taken: the command waits', async () => {
    let taken = 0;
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const marker = `${ssh.sshd.account.home}/written`;
    const running = ssh.run({
      argv: ['sh', '-c', 'head -c 30000000 /dev/zero; touch "$0"', marker],
      onOutput: async (_stream, chunk) => {
        taken += chunk.length;
        await gate;
      },
    });
    await sleep(1_000);
    // Others go on meanwhile, on the same connection.
    const others = await ssh.run({ argv: ['test', '-e', marker] });
    expect(others.result).toMatchObject({ exitCode: 1 });
    expect(taken).toBeLessThan(1_000_000);
    release();
    expect((await running).result).toMatchObject({ exitCode: 0, stdoutBytes: 30_000_000 });
    expect(taken).toBe(30_000_000);
  }, 60_000);

  it('of a command that never stops to write ends with its time', async () => {
    let taken = 0;
    const started = await ssh.pool
      .exec(ssh.endpoint, ssh.credential, {
        argv: ['yes'],
        timeoutMs: 1_000,
        maxOutputBytes: 1_000,
        signal: new AbortController().signal,
        onOutput: (_stream, chunk) => void (taken += chunk.length),
      })
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(started).toMatchObject({ code: 'command-timeout', detail: { confirmed: true } });
    expect(taken).toBe(1_000);
  }, 60_000);
});

describe('a script on standard input', () => {
  it('reaches any interpreter, with arguments of any kind', async () => {
    const output: Buffer[] = [];
    const common = {
      timeoutMs: 30_000,
      signal: new AbortController().signal,
      onOutput: (_stream: string, chunk: Buffer) => void output.push(chunk),
    };
    const shell = await ssh.pool.exec(ssh.endpoint, ssh.credential, {
      ...common,
      argv: ['/bin/sh', '-s', '--', '-x', "a'b", ''],
      stdin: Buffer.from('printf "%s|" "$@"\nexit 4\n'),
    });
    expect(shell).toMatchObject({ exitCode: 4 });
    expect(Buffer.concat(output).toString()).toBe("-x|a'b||");
    output.length = 0;
    const perl = await ssh.pool.exec(ssh.endpoint, ssh.credential, {
      ...common,
      argv: ['perl', '-', '$x'],
      stdin: Buffer.from(`print "$ARGV[0]\\n"; # ${'long '.repeat(60_000)}\nexit 6;`),
    });
    expect(perl).toMatchObject({ exitCode: 6 });
    expect(Buffer.concat(output).toString()).toBe('$x\n');
  }, 60_000);
});
