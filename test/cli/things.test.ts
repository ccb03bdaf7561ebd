import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Asset, AssetDetail, AuditRecordView, Principal, Whoami } from '@fettle/contracts';
import { generateSealingKeyLine } from '@fettle/security';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CliStack } from './cli-stack.js';

describe('things from the command line', () => {
  let cli: CliStack;

  beforeAll(async () => {
    cli = await CliStack.start(1);
  }, 180_000);
  afterAll(() => cli?.stop(), 60_000);

  it('prints empty lists as [] and says nothing on stdout to people', async () => {
    for (const noun of [['run'], ['document'], ['schedule']]) {
      expect(await cli.fettle([...noun, 'list', '-o', 'json'])).toMatchObject({ exitCode: 0, stdout: '[]\n' });
      const table = await cli.fettle([...noun, 'list']);
      expect(table).toMatchObject({ exitCode: 0, stdout: '' });
      expect(table.stderr).toMatch(/^No /);
    }
    expect(await cli.fettle(['export', '-o', 'json'])).toMatchObject({ exitCode: 0, stdout: '[]\n' });
  });

  it('applies files together or not at all, and names the place in the right file', async () => {
    const runbook = (argument: string): string =>
      `apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: one}\nspec:\n  targets: 'true'\n` +
      `  steps: [{id: a, uses: ssh.run, with: {argv: [echo, ${argument}]}}]\n`;
    const one = await cli.write('one.yaml', runbook('first'));
    const schedule = await cli.write(
      'two.yaml',
      '# a comment\napiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: two}\nspec: {runbook: nothing, cron: "0 1 * * *"}\n',
    );
    const refused = await cli.fettle(['apply', '-f', one, '-f', schedule]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain(`${schedule}:5:17: error: there is no runbook nothing`);
    expect(await cli.json('document', 'list')).toEqual([]);
    expect((await cli.fettle(['apply', '-f', one, '--dry-run'])).stdout).toBe('Runbook one created (version 1)\n');
    expect(await cli.json('document', 'list')).toEqual([]);
    expect((await cli.fettle(['apply', '-f', one])).stdout).toBe('Runbook one created (version 1)\n');
    expect((await cli.fettle(['apply', '-f', one])).stdout).toBe('Runbook one unchanged (version 1)\n');
    await cli.write('one.yaml', runbook('second'));
    const diff = await cli.fettle(['diff', '-f', one]);
    expect(diff).toMatchObject({ exitCode: 0 });
    expect(diff.stdout).toMatch(/Runbook one changed \(version 2\)\n {2}~ .*"first" -> "second"/);
    expect((await cli.fettle(['apply', '-f', one])).exitCode).toBe(0);
    expect((await cli.fettle(['diff', '-f', one])).stderr).toBe('No differences.\n');
    expect((await cli.fettle(['export'])).stdout).toBe(runbook('second'));
    expect((await cli.fettle(['document', 'show', 'Runbook', 'one', '--document-version', '1'])).stdout).toBe(
      runbook('first'),
    );
    expect(await cli.json<unknown[]>('document', 'versions', 'Runbook', 'one')).toHaveLength(2);
    // What was exported can be applied again and changes nothing.
    const again = await cli.fettle(['apply', '-f', '-'], { stdin: (await cli.fettle(['export'])).stdout });
    expect(again.stdout).toBe('Runbook one unchanged (version 2)\n');
  });

  it('imports, sets, shows, lists and retires assets', async () => {
    const csv = await cli.write(
      'assets.csv',
      'name,kind,site,address,port,label.env\nweb-1,server,ber,127.0.0.1,2222,prod\nprn-1,printer,lon,127.0.0.2,,prod\n',
    );
    expect(await cli.json('asset', 'import', csv, '--format', 'csv', '--dry-run')).toMatchObject({ created: 2 });
    expect(await cli.json('asset', 'list', '--on', 'asset.labels.env == "prod"')).toEqual([]);
    expect(await cli.json('asset', 'import', csv, '--format', 'csv')).toMatchObject({ created: 2, changed: 0 });
    expect(await cli.json('asset', 'import', csv, '--format', 'csv')).toMatchObject({ created: 0, unchanged: 2 });
    const hosts = await cli.write('hosts', '[web]\nweb[1:2] ansible_user=bob\n');
    expect(await cli.json('asset', 'import', hosts, '--format', 'ansible')).toMatchObject({ created: 2 });
    expect(
      (await cli.fettle(['asset', 'set', 'web-1', '--site', 'ams', '--label', 'a=b', '--remove-label', 'env']))
        .exitCode,
    ).toBe(0);
    expect(await cli.json<AssetDetail>('asset', 'show', 'web-1')).toMatchObject({ site: 'ams', labels: { a: 'b' } });
    expect((await cli.fettle(['asset', 'list', '--on', 'asset.site == "ams"'])).stdout).toMatch(/\nweb-1 +server +ams/);
    const undecided = /^warning: for 4 more assets the selector was neither true nor false.*\n.*has\(/;
    const labelled = ['asset', 'list', '-o', 'json', '--on', 'asset.labels.a == "b"'];
    const plain = await cli.fettle(labelled);
    expect((JSON.parse(plain.stdout) as Asset[]).map(({ name }) => name)).toEqual(['web-1']);
    expect(plain.stderr).toBe('');
    const asked = await cli.fettle([...labelled, '--undetermined']);
    expect(asked).toMatchObject({ stdout: plain.stdout, stderr: expect.stringMatching(undecided) });
    const nothing = await cli.fettle(['asset', 'list', '-o', 'json', '--on', 'asset.labels.a == "c"']);
    expect(nothing).toMatchObject({ stdout: '[]\n', stderr: expect.stringMatching(undecided) });
    const relate = ['asset', 'set', 'web-1', '--relate', 'prints-on=prn-1', '--relate', 'near=web2'];
    expect((await cli.fettle(relate)).exitCode).toBe(0);
    expect((await cli.fettle(['asset', 'set', 'web-1', '--unrelate', 'near=web2'])).exitCode).toBe(0);
    expect((await cli.fettle(['asset', 'show', 'web-1'])).stdout).toMatch(/relation +web-1 prints-on prn-1\n/);
    expect((await cli.fettle(['asset', 'show', 'prn-1'])).stdout).toMatch(/relation +web-1 prints-on prn-1\n/);
    expect((await cli.fettle(['asset', 'show', 'web2'])).stdout).not.toContain('relation');
    const nowhere = await cli.fettle(['asset', 'set', 'web-1', '--relate', 'runs-on=no-host']);
    expect(nowhere).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('"no-host"') });
    expect((await cli.fettle(['asset', 'retire', 'prn-1'])).exitCode).toBe(0);
    const names = async (...args: string[]): Promise<string[]> =>
      (await cli.json<Asset[]>('asset', 'list', ...args)).map(({ name }) => name);
    expect(await names('--on', 'asset.kind == "printer"')).toEqual([]);
    expect(await names('--on', 'asset.kind == "printer"', '--retired')).toEqual(['prn-1']);
    expect(await names('--limit', '2')).toHaveLength(2);
    expect((await cli.fettle(['asset', 'show', 'nothing'])).exitCode).toBe(3);
    expect((await cli.fettle(['asset', 'list', '--on', 'asset.nam == 1'])).exitCode).toBe(1);
  });

  it("prints Ansible's dynamic inventory", async () => {
    const all = JSON.parse((await cli.fettle(['inventory', '--list'])).stdout) as {
      _meta: { hostvars: Record<string, unknown> };
    };
    expect(Object.keys(all._meta.hostvars)).toContain('host-000');
    const one = await cli.fettle(['inventory', '--host', 'host-000']);
    expect(JSON.parse(one.stdout)).toEqual(all._meta.hostvars['host-000']);
    expect((await cli.fettle(['inventory', '--host', 'nothing'])).exitCode).toBe(3);
  });

  it('pins what a host shows, or refuses what was not expected', async () => {
    const { address, port } = { address: cli.sshd.address(7), port: String(cli.sshd.port) };
    await cli.fettle(['asset', 'set', 'new-1', '--kind', 'server', '--address', address, '--port', port]);
    const wrong = await cli.fettle(['asset', 'enrol', 'new-1', '--expect', `SHA256:${'A'.repeat(43)}`]);
    expect(wrong).toMatchObject({ exitCode: 1, stdout: '' });
    const enrolled = await cli.fettle(['asset', 'enrol', 'new-1']);
    expect(enrolled.exitCode).toBe(0);
    expect(enrolled.stdout).toMatch(/SHA256:[A-Za-z0-9+/]{43}/);
    const shown = await cli.json<AssetDetail>('asset', 'show', 'new-1');
    const keys = (await cli.sshd.hostKeys()).map((key) => key.split(' ').slice(0, 2).join(' '));
    expect(shown.endpoint?.hostKeys).toEqual(keys);
    // A host that was set up anew.
    const other = `ssh-ed25519 ${Buffer.concat([Buffer.from('0000000b7373682d6564323535313900000020', 'hex'), Buffer.alloc(32, 7)]).toString('base64')}`;
    await cli.fettle(['asset', 'set', 'new-1', '--host-key', other, '--user', 'ops']);
    const refused = await cli.fettle(['asset', 'enrol', 'new-1']);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /new-1 \(ops@[\d.]+:\d+\) shows another key .* Pinned: ssh-ed25519 SHA256:.*\n.*--replace --reason/,
    );
    const replaced = await cli.fettle(['asset', 'enrol', 'new-1', '--replace', '--reason', 'set up anew']);
    expect(replaced.exitCode).toBe(0);
    expect(replaced.stdout).toMatch(/host +ops@[\d.]+:\d+\nwas +ssh-ed25519 SHA256:\S+\npinned +ssh-/);
  }, 180_000);

  it('takes secrets from standard input and shows them nowhere', async () => {
    const secret = 'correct horse battery staple';
    const set = await cli.fettle(['credential', 'set', 'db', '--kind', 'password'], { stdin: `${secret}\n` });
    expect(set.exitCode).toBe(0);
    const list = await cli.fettle(['credential', 'list', '-o', 'json']);
    expect(JSON.parse(list.stdout)).toEqual(
      expect.arrayContaining([expect.objectContaining({ name: 'db', kind: 'password', version: 1 })]),
    );
    const audit = await cli.fettle(['audit', 'list', '--all', '-o', 'json']);
    expect(audit.stdout).toContain('credential.set');
    for (const { stdout, stderr } of [set, list, audit]) expect(stdout + stderr).not.toContain('horse');
    expect((await cli.fettle(['credential', 'set', 'x', '--kind', 'token'], { stdin: '' })).exitCode).toBe(2);
  });

  it('seals credentials anew with the key that was appended to the key file, and runs go on with them', async () => {
    const list = (): Promise<{ name: string; keyId: string; version: number }[]> => cli.json('credential', 'list');
    const before = await list();
    const none = await cli.fettle(['credential', 'rotate']);
    expect(none).toMatchObject({ exitCode: 0, stderr: '' });
    expect(none.stdout).toMatch(/^rotated +0\nkey +\S+\n$/);
    const line = generateSealingKeyLine();
    const keyId = line.split(':')[0] ?? '';
    await appendFile(cli.stack.environment.FETTLE_SEALING_KEY_FILE ?? '', `${line}\n`);
    // The workers read their keys when they start: first they, so that they can open what is sealed anew.
    await cli.restartWorker();
    expect(await cli.json('credential', 'rotate')).toEqual({ rotated: before.length, keyId });
    expect((await list()).map((one) => one.keyId)).toEqual(before.map(() => keyId));
    expect(await cli.json('credential', 'rotate')).toEqual({ rotated: 0, keyId });
    const used = await cli.fettle(['exec', '--on', 'asset.name == "host-000"', '--follow', '--', 'echo', 'still']);
    expect(used).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\bstill\n/) });
  }, 180_000);

  it('creates principals and tokens, and ends with 4 and 5 where they do not suffice', async () => {
    expect((await cli.fettle(['principal', 'create', 'olga', '--role', 'viewer', '--kind', 'service'])).exitCode).toBe(
      0,
    );
    const created = await cli.fettle(['token', 'create', 'olga', '--name', 'test', '--expires', '1h']);
    const token = created.stdout.trim();
    expect(created.stdout).toMatch(/^fettle_\S+\n$/);
    const as = (FETTLE_TOKEN: string) => ({ env: { FETTLE_TOKEN } });
    const me = await cli.fettle(['whoami', '-o', 'json'], as(token));
    expect((JSON.parse(me.stdout) as Whoami).name).toBe('olga');
    const denied = await cli.fettle(['exec', '--on', 'true', '--', 'id'], as(token));
    expect(denied).toMatchObject({ exitCode: 5, stdout: '' });
    expect((await cli.fettle(['run', 'list'], as('fettle_nonsense'))).exitCode).toBe(4);
    expect((await cli.fettle(['run', 'list'], as(''))).exitCode).toBe(4);
    expect((await cli.fettle(['principal', 'create', 'olga', '--role', 'viewer'])).exitCode).toBe(1);
    const [listed] = await cli.json<{ id: string }[]>('token', 'list', '--principal', 'olga');
    expect((await cli.fettle(['token', 'revoke', listed?.id ?? ''])).exitCode).toBe(0);
    expect((await cli.fettle(['principal', 'revoke', 'olga'])).exitCode).toBe(0);
  });

  it('lists principals, and takes all that one had from it', async () => {
    const roles = ['--role', 'operator', '--on', 'asset.site == "ber"'];
    expect((await cli.fettle(['principal', 'create', 'piet', ...roles])).exitCode).toBe(0);
    const FETTLE_TOKEN = (await cli.fettle(['token', 'create', 'piet', '--name', 'test'])).stdout.trim();
    const listed = async (): Promise<Principal | undefined> =>
      (await cli.json<Principal[]>('principal', 'list')).find(({ name }) => name === 'piet');
    expect(await listed()).toMatchObject({
      kind: 'person',
      revokedAt: null,
      bindings: [{ role: 'operator', space: 'default', selector: 'asset.site == "ber"' }],
    });
    const table = await cli.fettle(['principal', 'ls']);
    expect(table).toMatchObject({ exitCode: 0, stderr: '' });
    expect(table.stdout).toMatch(/^NAME +KIND +CREATED +REVOKED +ROLES\n/);
    expect(table.stdout).toMatch(/^piet +person .*operator.*asset\.site == "ber"/m);
    expect((await cli.fettle(['whoami'], { env: { FETTLE_TOKEN } })).exitCode).toBe(0);

    const revoked = await cli.fettle(['principal', 'revoke', 'piet']);
    expect(revoked).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'Principal piet is revoked; its tokens are no good any more.\n',
    });
    expect((await cli.fettle(['whoami'], { env: { FETTLE_TOKEN } })).exitCode).toBe(4);
    expect((await listed())?.revokedAt).toMatch(/^\d{4}-\d\d-\d\dT/);
    // Again: nothing more happens, and the time stays that of the first.
    expect(await cli.json('principal', 'revoke', 'piet')).toEqual(await listed());
    const nobody = await cli.fettle(['principal', 'revoke', 'nobody-here']);
    expect(nobody).toMatchObject({ exitCode: 3, stdout: '' });
    expect(nobody.stderr).toContain('fettle principal list');
    const actionsOf = async (action: string): Promise<ReadonlySet<string>> => {
      const records = await cli.json<AuditRecordView[]>('audit', 'list', '--all', '--action', action);
      return new Set(records.map((record) => record.action));
    };
    expect(await actionsOf('principal.')).toEqual(new Set(['principal.create', 'principal.revoke']));
    expect(await actionsOf('principal.revoke')).toEqual(new Set(['principal.revoke']));
    expect((await cli.fettle(['audit', 'list', '--action', 'rincipal'])).stderr).toBe('No records.\n');
    const last = await cli.fettle(['principal', 'list'], { env: { FETTLE_TOKEN: '' } });
    expect(last).toMatchObject({ exitCode: 4, stdout: '' });
  });

  it('verifies the audit log offline, and finds an edit', async () => {
    const live = join(cli.dataDir, 'audit', 'checkpoints.log');
    // The checkpoints first: those sealed after the export cover more than it has.
    const checkpoints = await cli.write('checkpoints', await readFile(live, 'utf8'));
    const exported = await cli.write('export.ndjson', (await cli.fettle(['audit', 'export'])).stdout);
    const key = await cli.write('key', String((await cli.api.call('GET', '/api/v1/audit/key')).body.verifierKey));
    const offline = ['audit', 'verify', '--key', key, '--checkpoints', checkpoints, '-o', 'json', '--export'];
    // Nothing of the API is used.
    const env = { FETTLE_URL: 'http://127.0.0.1:9' };
    const keyless = await cli.fettle(['audit', 'verify', '--export', exported, '--checkpoints', checkpoints], { env });
    expect(keyless).toMatchObject({ exitCode: 1, stdout: '' });
    expect(keyless.stderr).toMatch(/public key is missing: .*\n {2}what to do: Give it with --key FILE/);
    const keyText = (await cli.fettle(['audit', 'key'])).stdout.trim();
    expect(keyText).toBe(await readFile(key, 'utf8'));
    const byText = ['audit', 'verify', '--export', exported, '--checkpoints', checkpoints, '--key', keyText];
    expect(await cli.fettle(byText, { env })).toMatchObject({ exitCode: 0, stderr: '' });
    const whole = await cli.fettle([...offline, exported], { env });
    expect({ exitCode: whole.exitCode, stderr: whole.stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(JSON.parse(whole.stdout)).toMatchObject({ ok: true, findings: [] });
    const lines = (await readFile(exported, 'utf8')).split('\n');
    const edited = JSON.parse(lines[2] ?? '') as { canonical: string };
    edited.canonical = Buffer.from(
      Buffer.from(edited.canonical, 'base64').toString().replace('local-admin', 'someone-els'),
    ).toString('base64');
    const bad = await cli.write('bad.ndjson', lines.with(2, JSON.stringify(edited)).join('\n'));
    const found = await cli.fettle([...offline, bad], { env });
    expect(found.exitCode).toBe(1);
    const report = JSON.parse(found.stdout) as { ok: boolean; findings: { kind: string; position: number }[] };
    expect(report).toMatchObject({ ok: false, findings: [expect.objectContaining({ kind: 'edited', position: 2 })] });
    expect((await cli.fettle(['audit', 'verify', '--checkpoints', live])).exitCode).toBe(0);
  });
});
