import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { describeInputs } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { testTemporal } from '../support/temporal.js';

/** Arguments of every process of this machine, which is the hosts, too. */
async function allArguments(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return texts.join('\n');
}

/** All bytes inside a history, as text: payloads are bytes. */
function payloadsOf(value: unknown): string[] {
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')];
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(payloadsOf) : [];
}

describe('inputs that name assets and credentials', () => {
  const secret = `pa'ss "${randomBytes(12).toString('hex')}\nsecond line`;
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([
      TestStack.create(),
      startSshd({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }),
    ]);
    await stack.addHosts(sshd, 2);
    await stack.addHosts(sshd, 1, { prefix: 'other', first: 2 });
    await stack.addCredential('db-password', 'password', secret);
    await stack.addCredential('db-token', 'token', 'token-of-the-database');
    await stack.addRunbook('uses-a-secret', {
      inputs: {
        type: 'object',
        required: ['password', 'host'],
        additionalProperties: false,
        properties: {
          password: { type: 'string', 'x-fettle-secret': true },
          host: { type: 'string', 'x-fettle-query': 'asset.labels.group == "host"' },
          also: { type: 'array', items: { type: 'string', 'x-fettle-query': 'asset.labels.group == "other"' } },
        },
      },
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'plain',
          uses: 'ssh.run',
          if: 'asset.name == inputs.host',
          with: {
            argv: ['sh', '-c', 'printf "%s|%s|" "$PASSWORD" "$PLAIN"; cat; printf "%s" "$PASSWORD" > kept; sleep 1'],
            standardInput: 'input',
            environment: { PLAIN: 'as it is', PASSWORD: 'weaker' },
            secretEnvironment: { PASSWORD: '${{ inputs.password }}' },
          },
          outputs: { said: 'result.stdout' },
        },
        {
          id: 'become',
          uses: 'ssh.script',
          if: 'asset.name == inputs.host',
          with: {
            script: 'id -un; printf %s "$PASSWORD" | sha256sum; printf %s "$TOKEN"; sleep 1\n',
            become: true,
            secretEnvironment: { PASSWORD: '${{ inputs.password }}', TOKEN: 'db-token' },
          },
        },
        { id: 'later', uses: 'ssh.run', if: 'asset.name == inputs.host', with: { argv: ['cat', 'kept'] } },
      ],
    });
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  async function logOf(runId: string, step: string): Promise<string> {
    const rows: { body: string }[] = await stack.dataSource.query(
      `SELECT body FROM run_log WHERE run_id = $1 AND step = $2 ORDER BY seq`,
      [runId, step],
    );
    return rows.map((row) => row.body).join('');
  }

  it('bring a secret to a command through standard input, and nowhere else', async () => {
    const run = await stack.start('uses-a-secret', {
      inputs: { password: 'db-password', host: 'host-001', also: ['other-000'] },
    });
    let seen = '';
    for (let ended = false; !ended; ended = (await stack.run(run.id)).endedAt !== null) seen += await allArguments();
    const done = await stack.ended(run.id);
    expect(done).toMatchObject({ state: 'succeeded', counts: { succeeded: 1, skipped: 2 } });
    expect(await logOf(run.id, 'plain')).toBe('***|as it is|input');
    expect(await logOf(run.id, 'become')).toBe(`root\n${createHash('sha256').update(secret).digest('hex')}  -\n***`);
    // Another step's attempt opens no credential for itself; the run has declared it.
    expect(await logOf(run.id, 'later')).toBe('***');

    const half = secret.slice(6, 30);
    expect(seen).toContain('sleep');
    expect(seen).not.toContain(half);
    const connection = await Connection.connect({ address: testTemporal().address });
    const rows: { workflow_id: string }[] = await stack.dataSource.query(`SELECT workflow_id FROM run WHERE id = $1`, [
      run.id,
    ]);
    const history = await new Client({ connection }).workflow.getHandle(rows[0]!.workflow_id).fetchHistory();
    await connection.close();
    expect(history.events!.length).toBeGreaterThan(5);
    const texts = payloadsOf(history);
    expect(texts.join('\n')).toContain('db-password');
    for (const table of ['run', 'run_step', 'run_target', 'entry', 'run_log', 'audit_record', 'outbox']) {
      const stored: { text: string }[] = await stack.dataSource.query(
        `SELECT to_jsonb(t)::text AS text FROM ${table} t`,
      );
      texts.push(...stored.map((row) => row.text));
    }
    const all = texts.join('\n');
    for (const spelling of [half, Buffer.from(half).toString('base64').slice(4, 24), Buffer.from(half).toString('hex')])
      expect(all).not.toContain(spelling);
    expect(worker.log).not.toContain(half);
  }, 120_000);

  const refusals: [string, Record<string, unknown>, RegExp[]][] = [
    [
      'an asset that the query does not select',
      { host: 'other-000' },
      [/"host" must be an asset that .*"other-000" is not; there are host-000, host-001/],
    ],
    ['one in a list', { also: ['other-000', 'nobody'] }, [/"also" .*"nobody" is not; there are other-000/]],
    [
      'a credential that is not there',
      { password: 'tr0ub4dor' },
      [/"password" takes the name of a credential .* none of the name given/],
    ],
    ['what is no name', { password: 'Tr0ub4dor&3' }, [/"password" is secret: it takes the name of a credential/]],
  ];
  it.each(refusals)('refuse %s', async (_what, changed, messages) => {
    const inputs = { password: 'db-password', host: 'host-000', ...changed };
    const error = (await stack.start('uses-a-secret', { inputs }).catch((thrown: unknown) => thrown)) as Error & {
      code: string;
    };
    expect(error.code).toBe('invalid-inputs');
    for (const message of messages) expect(error.message).toMatch(message);
    expect(JSON.stringify(error) + error.message).not.toMatch(/ub4dor/);
    const runs: unknown[] = await stack.dataSource.query(`SELECT 1 FROM run WHERE inputs::text LIKE '%ub4dor%'`);
    expect(runs).toEqual([]);
  });

  it('are described with the values that may be given', async () => {
    const { items } = await stack.inTransaction((context) =>
      describeInputs(context, 'uses-a-secret', { space: 'default' }),
    );
    expect(items).toMatchObject([
      { name: 'host', secret: false, allowed: ['host-000', 'host-001'], query: 'asset.labels.group == "host"' },
      { name: 'password', secret: true, required: true, allowed: ['db-password', 'db-token'], more: false },
      { name: 'also', list: true, allowed: ['other-000'] },
    ]);
    const one = await stack.inTransaction((context) =>
      describeInputs({ ...context, scopeOf: () => ['asset.name == "host-001"'] }, 'uses-a-secret', {
        space: 'default',
        input: 'host',
        prefix: 'host-',
      }),
    );
    expect(one.items).toMatchObject([{ name: 'host', allowed: ['host-001'] }]);
  });
});
