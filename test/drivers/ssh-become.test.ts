import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { SshPool, type SshCredential, type SshEndpoint } from '@fettle/drivers';
import { startSshd, type Sshd, type SshdAccount } from '../support/sshd.js';
import { credentialOf, endpointOf, failureOf, run } from '../support/ssh-client.js';

const password = `p'w ${randomBytes(8).toString('hex')}`;
let sshd: Sshd;
let pool: SshPool;

beforeAll(async () => {
  sshd = await startSshd({
    users: [
      { sudoers: 'ALL=(ALL) NOPASSWD: ALL' },
      { sudoers: 'ALL=(ALL) ALL', password },
      {},
      { sudoers: 'ALL=(ALL) NOPASSWD: ALL', password },
    ],
  });
  pool = new SshPool();
}, 300_000);

afterAll(async () => {
  await pool?.close();
  await sshd?.stop();
}, 60_000);

async function as(index: number): Promise<{ endpoint: SshEndpoint; credential: SshCredential; account: SshdAccount }> {
  const account = sshd.accounts[index];
  if (account === undefined) throw new Error(`no account ${index}`);
  return { endpoint: await endpointOf(sshd, 0, account), credential: credentialOf(sshd, account), account };
}

/** Arguments of every process of this machine, which is the host, too. */
async function allArguments(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return texts.join('\n');
}

describe('become', () => {
  it('runs as root, in the directory and with the variables asked for, and passes stdin on', async () => {
    const { endpoint, credential } = await as(0);
    const ran = await run(pool, endpoint, credential, {
      argv: ['sh', '-c', 'id -un; pwd; echo "$ODD"; echo err >&2; cat; exit 3'],
      become: {},
      cwd: '/root',
      env: { ODD: "it's" },
      stdin: Buffer.from('input'),
    });
    expect(ran).toMatchObject({ result: { exitCode: 3 }, stdout: "root\n/root\nit's\ninput", stderr: 'err\n' });
    const other = await run(pool, endpoint, credential, { argv: ['id', '-un'], become: { user: 'nobody' } });
    expect(other.stdout).toBe('nobody\n');
  });

  it('gives the password to sudo alone', async () => {
    const { endpoint, credential } = await as(1);
    const input = randomBytes(200_000);
    const request = { argv: ['sha256sum'], stdin: input, become: { password } };
    const direct = await run(pool, endpoint, credential, { argv: ['sha256sum'], stdin: input });
    const ran = await run(pool, endpoint, credential, request);
    expect(ran).toMatchObject({ result: { exitCode: 0 }, stdout: direct.stdout, stderr: '' });
    const environment = await run(pool, endpoint, credential, {
      argv: ['cat', '/proc/self/environ'],
      become: { password },
    });
    expect(environment.stdout).not.toContain(password);
  });

  it('does not hand the password to a command that sudo lets through without one', async () => {
    const { endpoint, credential } = await as(3);
    const ran = await run(pool, endpoint, credential, {
      argv: ['cat'],
      stdin: Buffer.from('mine'),
      become: { password },
    });
    expect(ran).toMatchObject({ result: { exitCode: 0 }, stdout: 'mine', stderr: '' });
  });

  it('shows neither variables nor the token in the list of processes, and changes no byte of them', async () => {
    const marker = randomBytes(8).toString('hex');
    const bytes = Array.from({ length: 0x24f }, (_, code) => String.fromCharCode(code + 1)).join('');
    const env = { ONE: `one-${marker}`, ODD: `${bytes}\n\n'"$(id)\\\n\\`, EMPTY: '', IFS: ':', fettle_line: 'mine' };
    const token = `token-${marker}`;
    const dump = `printf '%s|' "$ONE" "$ODD" "$EMPTY" "$fettle_line" "$FETTLE_EFFECT_TOKEN"`;
    for (const [index, become] of [
      [0, {}],
      [1, { password }],
      [3, { password, user: 'nobody' }],
    ] as const) {
      const { endpoint, credential } = await as(index);
      let seen = '';
      let started = (): void => undefined;
      const start = new Promise<void>((resolve) => (started = resolve));
      const output: Buffer[] = [];
      async function* input(): AsyncGenerator<Buffer> {
        await start;
        seen = await allArguments();
        yield Buffer.from('go\n');
      }
      const result = await pool.exec(endpoint, credential, {
        argv: ['sh', '-c', `echo ready; cat >/dev/null; ${dump}`, `argument-${marker}`],
        env,
        token,
        become,
        stdin: input(),
        timeoutMs: 30_000,
        signal: new AbortController().signal,
        onOutput: (stream, chunk) => {
          if (stream === 'stdout') output.push(chunk);
          started();
        },
      });
      expect(result).toMatchObject({ exitCode: 0 });
      // The command was running while the list was read.
      expect(seen).toContain(`argument-${marker}`);
      expect(seen).not.toContain(`one-${marker}`);
      expect(seen).not.toContain(token);
      const values = [env.ONE, env.ODD, '', 'mine', token];
      expect(Buffer.concat(output).toString()).toBe(`ready\n${values.map((value) => `${value}|`).join('')}`);
    }
  }, 60_000);

  it('gives a command with variables the input that it would have without', async () => {
    const { endpoint, credential } = await as(0);
    const base = { become: {}, env: { A: 'x\ny' }, token: 't' };
    const none = await run(pool, endpoint, credential, {
      ...base,
      argv: ['sh', '-c', 'readlink /proc/self/fd/0; cat'],
    });
    expect(none).toMatchObject({ result: { exitCode: 0 }, stdout: '/dev/null\n', stderr: '' });
    const stdin = randomBytes(200_000);
    const sum = await run(pool, endpoint, credential, { argv: ['sha256sum'], stdin });
    const ran = await run(pool, endpoint, credential, { ...base, argv: ['sha256sum'], stdin });
    expect(ran).toMatchObject({ result: { exitCode: 0 }, stdout: sum.stdout });
    const long = { A: 'a'.repeat(100_000), B: '\n'.repeat(2_000) };
    const sizes = await run(pool, endpoint, credential, {
      ...base,
      env: long,
      argv: ['sh', '-c', 'echo "${#A} ${#B}"'],
    });
    expect(sizes.stdout).toBe('100000 2000\n');
    const tooLong = run(pool, endpoint, credential, { ...base, env: { A: 'a'.repeat(140_000) }, argv: ['true'] });
    expect(await failureOf(tooLong)).toMatchObject({ code: 'invalid-argument', detail: { mayHaveStarted: false } });
  }, 60_000);

  it('tells a refusal of sudo from a failure of the command', async () => {
    const cases = [
      { index: 1, become: { password: 'wrong' }, detail: { wrongPassword: true } },
      { index: 1, become: {}, detail: { wrongPassword: false } },
      { index: 2, become: {}, detail: {} },
      { index: 0, become: { user: 'no-such-user' }, detail: {} },
    ];
    for (const { index, become, detail } of cases) {
      const { endpoint, credential } = await as(index);
      const error = await failureOf(run(pool, endpoint, credential, { argv: ['true'], become }));
      expect(error).toMatchObject({ code: 'become-failed', detail: { mayHaveStarted: false, ...detail } });
      expect(error.message).not.toContain('wrong\n');
    }
    const { endpoint, credential } = await as(1);
    const failed = await run(pool, endpoint, credential, { argv: ['false'], become: { password } });
    expect(failed.result).toMatchObject({ exitCode: 1 });
    const noDirectory = await failureOf(
      run(pool, endpoint, credential, { argv: ['true'], become: { password }, cwd: '/no/such' }),
    );
    expect(noDirectory.code).toBe('working-directory-unavailable');
  }, 60_000);
});
