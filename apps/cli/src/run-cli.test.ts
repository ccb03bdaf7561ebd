import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { capture } from './session/testing/capture-host.js';

describe('the command line', () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-cli-'));
    await writeFile(
      file('good.yaml'),
      'apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: good}\nspec:\n  targets: asset.kind == "server"\n' +
        '  steps:\n    - {id: up, uses: ssh.run, with: {argv: [uptime]}}\n',
    );
    await writeFile(
      file('bad.yaml'),
      'apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: bad}\nspec:\n  targets: asset.kind == "server"\n' +
        '  steps:\n    - {id: up, uses: ssh.rum, with: {argv: [uptime]}}\n',
    );
    await writeFile(
      file('schedule.yaml'),
      'apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: nightly}\n' +
        'spec: {runbook: good, cron: "30 2 * * *", timeZone: Europe/Berlin}\n',
    );
    await writeFile(file('bad.csv'), 'name,kind,port\nx y,server,1\nz,robot,99999\n');
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    [['run', 'bogus'], /unknown command/],
    [['run', 'start'], /missing required argument/],
    [['run', 'list', '-o', 'xml'], /table, json, yaml/],
    [['run', 'list', '--limit', '0'], /whole number/],
    [['run', 'list', '--space', 'Not A Name'], /lower-case/],
    [['run', 'start', 'x', '--input', 'novalue'], /name=value/],
    [['exec', '--', 'ls'], /--on/],
    [['exec', '--on', 'true'], /missing required argument/],
    [['exec', '--on', 'true', '--timeout', 'soon', '--', 'ls'], /30s/],
    [['exec', '--on', 'true', 'ls', '-l'], /unknown option/],
    [['validate'], /--file/],
    [['asset', 'set', 'web-01'], /Nothing to set/],
    [['asset', 'set', 'web-01', '--lift-quarantine'], /--reason/],
    [['asset', 'set', 'web-01', '--relate', 'vmhost-01'], /type=asset/],
    [['asset', 'set', 'web-01', '--relate', 'on=a', '--unrelate', 'on=a'], /exclude each other/],
    [['asset', 'enrol', 'web-01', '--replace'], /--reason/],
    [['inventory'], /--list/],
    [['schedule', 'preview'], /give one of/],
    [['principal', 'create', 'olga'], /--role/],
    [['principal', 'create', 'olga', '--role', 'king'], /A role is one of/],
    [['token', 'create', 'olga', '--name', 'x', '--expires', 'soon'], /90d/],
    [['up', '--port', '70000'], /65535/],
    [['asset', 'set', 'web-01', '--port', '0'], /^error: option '--port <n>' .*from 1 to 65535\.\n[^\n]*\n$/],
    [['exec', '--on', 'true', '--timeout', '0s', '--', 'ls'], /above 0/],
    [['exec', '--on', 'true', '--max-concurrency', '1001', '--', 'ls'], /from 1 to 1000/],
    [['schedule', 'preview', 'x', '--count', '0'], /from 1 to 1000/],
    [[], /Usage: fettle/],
  ])('answers the wrong usage %j with exit 2 and nothing on stdout', async (args, message) => {
    const result = await capture(args, { env: { FETTLE_URL: 'http://127.0.0.1:9' } });
    expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(result.stderr).toMatch(message);
  });

  it('prints help and version on stdout with exit 0', async () => {
    const help = await capture(['run', 'start', '--help']);
    expect(help.exitCode).toBe(0);
    expect(help.stdout).toMatch(/--idempotency-key/);
    expect(await capture(['--version'])).toMatchObject({ exitCode: 0, stdout: '0.1.0\n', stderr: '' });
  });

  it('says what was tried when no API is there', async () => {
    const nothing = await capture(['run', 'list'], { env: { FETTLE_DATA_DIR: join(folder, 'none') } });
    expect(nothing.exitCode).toBe(1);
    expect(nothing.stderr).toContain('FETTLE_URL is not set');
    expect(nothing.stderr).toContain(join(folder, 'none'));
    const refused = await capture(['run', 'list'], { env: { FETTLE_URL: 'http://127.0.0.1:9' } });
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/http:\/\/127\.0\.0\.1:9 does not answer: .*\n {2}what to do: /);
    expect((await capture(['whoami'], { env: { FETTLE_URL: 'ftp://x' } })).exitCode).toBe(2);
  });

  it('treats what can be no run as not found, without asking', async () => {
    const result = await capture(['run', 'show', 'nope'], { env: { FETTLE_URL: 'http://127.0.0.1:9' } });
    expect(result.exitCode).toBe(3);
  });

  it('validates offline, with places, and prints an empty list as []', async () => {
    expect(await capture(['validate', '-f', file('good.yaml'), '-o', 'json'])).toMatchObject({
      exitCode: 0,
      stdout: '[]\n',
    });
    const bad = await capture(['validate', '-f', file('good.yaml'), '-f', file('bad.yaml')]);
    expect(bad.exitCode).toBe(1);
    expect(bad.stdout).toContain(`${file('bad.yaml')}:7:`);
    expect(bad.stdout).toContain('ssh.rum');
    expect(bad.stdout).toMatch(/did you mean "ssh\.run"/);
    expect(bad.stderr).toBe('1 error in 2 files\n');
    const json = await capture(['validate', '-f', file('bad.yaml'), '-o', 'json']);
    expect(JSON.parse(json.stdout)).toEqual([
      expect.objectContaining({ severity: 'error', position: expect.objectContaining({ line: 7 }) }),
    ]);
    expect((await capture(['validate', '-f', file('missing.yaml')])).exitCode).toBe(1);
    expect((await capture(['validate', '-f', '-'], { stdin: 'kind: [' })).exitCode).toBe(1);
  });

  it('sends no invalid document and no invalid import', async () => {
    const env = { FETTLE_URL: 'http://127.0.0.1:9' };
    const apply = await capture(['apply', '-f', file('bad.yaml')], { env });
    expect(apply.exitCode).toBe(1);
    expect(apply.stderr).toContain('bad.yaml:7:');
    // As `validate` shows them, with the line and what was probably meant.
    const validated = await capture(['validate', '-f', file('bad.yaml')]);
    expect(apply.stderr).toContain(validated.stdout);
    const rows = await capture(['asset', 'import', file('bad.csv'), '--format', 'csv'], { env });
    expect(rows.exitCode).toBe(1);
    expect(rows.stderr).toMatch(/3 errors; nothing was imported/);
    expect(rows.stderr).toMatch(/bad\.csv:2:1: error/);
    expect(rows.stderr).toMatch(/bad\.csv:3:\d+: error/);
  });

  it('takes no private key that could sign in nowhere, and says nothing of it', async () => {
    const publicKey = `ssh-ed25519 ${Buffer.concat([Buffer.from('0000000b7373682d6564323535313900000020', 'hex'), Buffer.alloc(32, 7)]).toString('base64')}`;
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    const locked = createPrivateKey(privateKey).export({
      type: 'pkcs1',
      format: 'pem',
      cipher: 'aes-128-cbc',
      passphrase: 'secret',
    });
    const args = ['credential', 'set', 'ops', '--kind', 'ssh-private-key'];
    const env = { FETTLE_URL: 'http://127.0.0.1:9' };
    const cases: [string, RegExp][] = [
      ['correct horse battery staple', /no private key that SSH can use/],
      [privateKey.slice(0, 400), /no private key that SSH can use/],
      [publicKey, /a public key/],
      [String(locked), /encrypted with a passphrase/],
    ];
    for (const [stdin, message] of cases) {
      const refused = await capture(args, { env, stdin });
      expect({ exitCode: refused.exitCode, stdout: refused.stdout }).toEqual({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toMatch(message);
      for (const line of stdin.split('\n').filter((part) => part.length > 20 && !part.startsWith('--')))
        expect(refused.stderr).not.toContain(line);
    }
    // A good one goes on to the API, which is not there.
    expect((await capture(args, { env, stdin: privateKey })).stderr).toContain('does not answer');
  });

  it('examines, as doctor, what a start needs: exit 0 where nothing stands in the way, else 1 and what to do', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const dataDir = join(folder, 'nothing-yet');
    const args = ['doctor', '--data-dir', dataDir, '--port', String(port)];
    const taken = await capture(args);
    await new Promise((resolve) => server.close(resolve));
    expect({ exitCode: taken.exitCode, stderr: taken.stderr }).toEqual({ exitCode: 1, stderr: '' });
    expect(taken.stdout).toContain(`  FAIL  port       port ${port} on 127.0.0.1 is taken by process ${process.pid} `);
    expect(taken.stdout).toMatch(/Stop it, or choose another with --port N\.\n/);
    const fine = await capture(args);
    expect({ exitCode: fine.exitCode, stderr: fine.stderr }).toEqual({ exitCode: 0, stderr: '' });
    const lines = fine.stdout.split('\n');
    expect(lines[0]).toMatch(/^Fettle \d+\.\d+\.\d+ in \//);
    expect(lines[0]).toContain(`data in ${dataDir}`);
    expect(lines[1]).toBe('  it does not run');
    expect(fine.stdout).not.toContain('FAIL');
    for (const line of [/^ {2}ok {4}node .*Node\.js \d/m, /^ {2}ok {4}npm /m, /^ {2}ok {4}data disk .*GiB free/m]) {
      expect(fine.stdout).toMatch(line);
    }
    expect(fine.stdout).toContain(`  ok    port       port ${port} on 127.0.0.1 is free\n`);
    expect(fine.stdout).toMatch(/^ {2}(ok {2}|note) {2}temporal /m);
    expect(fine.stdout).toMatch(/^ {2}ok {4}postgres +embedded 18/m);
    expect(existsSync(dataDir)).toBe(false);
  });

  it('previews fires offline in the zone of the schedule and of the reader', async () => {
    const result = await capture(['schedule', 'preview', '-f', file('schedule.yaml'), '-o', 'json']);
    expect(result.exitCode).toBe(0);
    const fires = JSON.parse(result.stdout) as { at: string; local: string; note: string }[];
    expect(fires).toHaveLength(5);
    for (const fire of fires) {
      expect(fire.local).toMatch(/T02:30:00\+0[12]:00$/);
      expect(Date.parse(fire.local)).toBe(Date.parse(fire.at));
    }
    const table = await capture(['schedule', 'preview', '--cron', '0 12 * * 1', '--count', '2']);
    expect(table.stdout.match(/12:00:00 UTC/g)?.length).toBeGreaterThanOrEqual(2);
    const wrong = await capture(['schedule', 'preview', '--cron', 'never']);
    expect(wrong.exitCode).toBe(1);
  });

  it('colours a terminal only, and not with NO_COLOR', async () => {
    const args = ['validate', '-f', file('bad.yaml')];
    expect((await capture(args)).stdout).not.toContain('\u001b');
    expect((await capture(args, { terminal: true })).stdout).toContain('\u001b[31m');
    expect((await capture(args, { terminal: true, env: { NO_COLOR: '1' } })).stdout).not.toContain('\u001b');
  });
});
