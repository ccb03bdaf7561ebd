import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

/** What a service says that repeats what it was sent, and that names a token in what it refuses. */
async function startEcho(): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    response.statusCode = request.url?.startsWith('/refuse') === true ? 403 : 200;
    response.end(`you sent ${request.headers.authorization ?? 'nothing'}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('secrets in what a run leaves behind', () => {
  const password = `become'${randomBytes(12).toString('hex')}`;
  const bearer = `bearer-${randomBytes(12).toString('hex')}`;
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let echo: Awaited<ReturnType<typeof startEcho>>;

  beforeAll(async () => {
    [stack, sshd, echo] = await Promise.all([
      TestStack.create(),
      // bash reads a start-up file, in which a test puts programs of its own.
      startSshd({ users: [{ sudoers: 'ALL=(ALL) ALL', password, shell: '/bin/bash' }] }),
      startEcho(),
    ]);
    await stack.addHosts(sshd, 1);
    const [byPassword] = await stack.addHosts(sshd, 1, { prefix: 'by-password', first: 1 });
    await stack.addCredential('become-password', 'password', password);
    await stack.addCredential('login-password', 'password', password, sshd.account.user);
    await stack.dataSource.query(
      `UPDATE endpoint SET credential = 'login-password' FROM asset WHERE asset.id = asset_id AND asset.name = $1`,
      [byPassword],
    );
    await stack.addCredential('api-token', 'token', bearer);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    echo?.server.close();
  });

  /** All rows that the run wrote, as text. */
  async function rowsOf(runId: string): Promise<string> {
    const tables = ['run', 'run_step', 'run_target', 'entry', 'run_log'];
    const texts: string[] = [];
    for (const table of tables) {
      const rows: { text: string }[] = await stack.dataSource.query(
        `SELECT to_jsonb(t)::text AS text FROM ${table} t WHERE ${table === 'run' ? 'id' : 'run_id'} = $1`,
        [runId],
      );
      texts.push(...rows.map((row) => row.text));
    }
    return texts.join('\n');
  }

  function expectHidden(rows: string, secret: string): void {
    const bytes = Buffer.from(secret);
    // The middle of each encoding, as an encoder may continue before and after.
    for (const encoded of [secret, bytes.toString('base64').replace(/=*$/, ''), bytes.toString('hex')])
      expect(rows).not.toContain(encoded.slice(4, -4));
  }

  async function logOf(runId: string, step: string): Promise<string> {
    const rows: { body: string }[] = await stack.dataSource.query(
      `SELECT body FROM run_log WHERE run_id = $1 AND step = $2 ORDER BY seq`,
      [runId, step],
    );
    return rows.map((row) => row.body).join('');
  }

  it('masks a become password in log, outputs and what is computed of them, across chunks and in base64', async () => {
    const become = { user: 'root', credential: 'become-password' };
    const half = Math.floor(password.length / 2);
    const script = [
      'printf "plain: %s\\n" "$SECRET"',
      'printf "encoded: "; printf "%s" "$SECRET" | base64',
      // The two halves arrive as two packets, some time apart.
      'printf "split: %s" "$FIRST"; sleep 1; printf "%s\\n" "$SECOND"',
      'printf "%s\\n" "$SECRET" >&2',
    ].join('\n');
    await stack.addRunbook('tells-its-password', {
      inputs: { type: 'object', properties: {}, additionalProperties: false },
      targets: 'asset.labels.group == "host"',
      steps: [
        {
          id: 'tell',
          uses: 'ssh.script',
          with: {
            script: script
              .replaceAll('"$SECRET"', '"$(cat secret)"')
              .replace('"$FIRST"', `"$(head -c ${half} secret)"`)
              .replace('"$SECOND"', `"$(tail -c +${half + 1} secret)"`),
            workingDirectory: sshd.account.home,
            become,
          },
          outputs: { said: 'result.stdout', warned: 'result.stderr' },
        },
        {
          // Fills what is kept for later steps so that its limit falls into the secret.
          id: 'fill',
          uses: 'ssh.script',
          with: {
            script: `head -c ${16_384 - half} /dev/zero | tr '\\0' x; cat secret; head -c 2000000 /dev/zero | tr '\\0' y; cat secret`,
            workingDirectory: sshd.account.home,
            become,
          },
        },
      ],
    });
    await writeFile(`${sshd.account.home}/secret`, password);
    const run = await stack.ended((await stack.start('tells-its-password')).id);
    expect({ state: run.state, error: run.error, targets: run.targets }).toMatchObject({ state: 'succeeded' });
    const rows = await rowsOf(run.id);
    expectHidden(rows, password);
    expect(rows).not.toContain(password.slice(0, half));
    expect(await logOf(run.id, 'tell')).toContain('plain: ***\nencoded: ***');
    expect(await logOf(run.id, 'tell')).toContain('split: ***\n');
    expect((await logOf(run.id, 'fill')).endsWith('y***')).toBe(true);
    const kept: { output: unknown }[] = await stack.dataSource.query(
      `SELECT output FROM run_step WHERE run_id = $1 AND step = 'tell'`,
      [run.id],
    );
    expect(kept[0]!.output).toMatchObject({ said: expect.stringContaining('plain: ***'), warned: '***' });
  }, 90_000);

  it('masks the password that a connection was opened with', async () => {
    await writeFile(`${sshd.account.home}/login`, password, { mode: 0o644 });
    await stack.addRunbook('prints-its-login', {
      targets: 'asset.labels.group == "by-password"',
      steps: [{ id: 'cat', uses: 'ssh.script', with: { script: 'cd; cat login; exit 3' } }],
    });
    const run = await stack.ended((await stack.start('prints-its-login')).id);
    expect(run).toMatchObject({ state: 'failed', targets: [{ steps: [{ state: 'failed', exitCode: 3 }] }] });
    expectHidden(await rowsOf(run.id), password);
    expect(await logOf(run.id, 'cat')).toBe('***');
  }, 90_000);

  it('masks what is stored as a fact, and takes nothing with a secret for an identifier', async () => {
    const programs = `${sshd.account.home}/programs`;
    await mkdir(programs);
    await writeFile(`${sshd.account.home}/.bashrc`, `PATH=${programs}:$PATH\n`);
    const hostname = `#!/bin/sh\necho "host ${password}"\n`;
    const cat = `#!/bin/sh\ncase $1 in /etc/machine-id) echo "${password}" ;; *) exec /bin/cat "$@" ;; esac\n`;
    for (const [name, text] of Object.entries({ hostname, cat }))
      await writeFile(`${programs}/${name}`, text, { mode: 0o755 });
    await stack.addRunbook('gathers', {
      targets: 'asset.labels.group == "by-password"',
      steps: [{ id: 'facts', uses: 'asset.gather', with: { packages: false } }],
    });
    const run = await stack.ended((await stack.start('gathers')).id);
    expect({ state: run.state, error: run.error, targets: run.targets }).toMatchObject({ state: 'succeeded' });
    const rows: { name: string; value: unknown }[] = await stack.dataSource.query(
      `SELECT name, value FROM asset_fact UNION ALL SELECT kind, to_jsonb(value) FROM asset_identifier`,
    );
    expect(rows).toContainEqual({ name: 'hostname', value: 'host ***' });
    expect(rows.map((row) => row.name)).not.toContain('machine-id');
    expectHidden(JSON.stringify(rows), password);
  }, 90_000);

  it('masks the key that a connection was opened with', async () => {
    await writeFile(`${sshd.account.home}/key`, sshd.account.privateKey, { mode: 0o644 });
    await stack.addRunbook('prints-its-key', {
      targets: 'asset.labels.group == "host"',
      steps: [{ id: 'cat', uses: 'ssh.script', with: { script: `cd; cat key; sed 's/^/| /' key; base64 key` } }],
    });
    const run = await stack.ended((await stack.start('prints-its-key')).id);
    expect(run.state).toBe('succeeded');
    const rows = await rowsOf(run.id);
    for (const line of sshd.account.privateKey.split('\n').slice(1, -2)) expect(rows).not.toContain(line.slice(2, 34));
    const encoded = Buffer.from(sshd.account.privateKey).toString('base64');
    expect(rows).not.toContain(encoded.slice(60, 76));
    expect(rows).not.toContain(encoded.slice(160, 200));
    expect(await logOf(run.id, 'cat')).toContain('| ***\n');
  }, 90_000);

  it('masks a token in the output and in the error of a call', async () => {
    await stack.addRunbook('calls-an-echo', {
      steps: [
        { id: 'ok', uses: 'http.request', with: { url: `${echo.url}/`, bearer: 'api-token' } },
        {
          id: 'refused',
          uses: 'http.request',
          onError: 'continue',
          with: { url: `${echo.url}/refuse/${bearer}?other=hunter22hunter22`, bearer: 'api-token' },
        },
      ],
    });
    const run = await stack.ended((await stack.start('calls-an-echo')).id);
    const steps: { step: string; state: string; output: unknown; error: unknown }[] = await stack.dataSource.query(
      `SELECT step, state, output, error FROM run_step WHERE run_id = $1 ORDER BY started_at`,
      [run.id],
    );
    expect(steps).toMatchObject([
      { step: 'ok', state: 'succeeded', output: { body: 'you sent Bearer ***' } },
      {
        step: 'refused',
        state: 'failed',
        error: { message: expect.stringMatching(/\/refuse\/\*\*\* answered with status 403\.$/) },
      },
    ]);
    expectHidden(JSON.stringify(steps), bearer);
    const entries: { text: string }[] = await stack.dataSource.query(
      `SELECT data::text AS text FROM entry WHERE run_id = $1`,
      [run.id],
    );
    expectHidden(entries.map((entry) => entry.text).join('\n'), bearer);
  }, 90_000);
});
