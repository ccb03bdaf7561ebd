import { execFile } from 'node:child_process';
import { access, chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Plan, PlanCheck, PlanCheckResult, Problem } from '@fettle/contracts';
import { CliStack } from '../cli/cli-stack.js';

type Checked = Plan & { readonly check: PlanCheck & { readonly results: PlanCheckResult[] } };

const HOSTS = 3;

describe('fettle plan --check', () => {
  let cli: CliStack;
  let home: string;

  beforeAll(async () => {
    cli = await CliStack.start(HOSTS);
    const { account } = cli.sshd;
    home = join(account.home, 'files');
    await mkdir(home);
    await writeFile(join(home, 'equal'), 'as it is\n');
    await writeFile(join(home, 'motd'), 'one\ntwo\nthree\n');
    await writeFile(join(home, 'key'), 'old secret\n');
    await writeFile(join(home, 'mode'), 'x\n');
    await chmod(join(home, 'key'), 0o600);
    for (const file of ['', 'equal', 'motd', 'key', 'mode']) await chown(join(home, file), account.uid, account.uid);
    const put = (id: string, content: string, more: object = {}) => ({
      id,
      uses: 'file.put',
      with: { path: join(home, id), content, ...more },
    });
    const touch = (id: string, probe?: readonly string[]) => ({
      id,
      uses: 'ssh.run',
      with: { argv: ['touch', join(home, `ran-${id}`)], ...(probe === undefined ? {} : { probe }) },
    });
    await cli.stack.addRunbook('configure', {
      targets: 'asset.kind == "server"',
      steps: [
        put('equal', 'as it is\n'),
        put('motd', 'one\n2\nthree\n'),
        put('key', 'new secret\n', { mode: '0600' }),
        put('mode', 'x\n', { mode: '0755' }),
        put('fresh', 'made by ${{ asset.name }}\n'),
        touch('done', ['test', '-e', join(home, 'equal')]),
        touch('open', ['test', '-e', join(home, 'nowhere')]),
        touch('odd', ['sh', '-c', 'exit 9']),
        touch('blind'),
        { id: 'look', uses: 'ssh.run', with: { argv: ['cat', join(home, 'equal')], effect: 'read-only' } },
        put('later', '${{ steps.look.stdout }}'),
        { id: 'skipped', uses: 'ssh.run', if: 'asset.name == "nobody"', with: { argv: ['false'] } },
        { id: 'hook', uses: 'http.request', with: { url: 'http://127.0.0.1:1/', method: 'POST' } },
      ],
    });
  }, 180_000);
  afterAll(() => cli?.stop(), 60_000);

  /** Names, modes, owners, times and content of everything in the account's home. */
  async function tree(): Promise<string> {
    const script = `cd "$1" && find . -printf '%p %y %m %u %g %s %T@ %C@\\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum`;
    return (await promisify(execFile)('sh', ['-c', script, 'tree', cli.sshd.account.home])).stdout;
  }

  const byPath = (checked: Checked, path: string): PlanCheckResult[] =>
    checked.check.results.filter((result) => result.path === path);

  it('says what would change, and changes nothing on the hosts', async () => {
    const before = await tree();
    const checked = await cli.json<Checked>('plan', 'configure', '--check');
    expect(await tree()).toBe(before);
    await expect(access(`/var/tmp/fettle-${cli.sshd.account.user}`)).rejects.toThrow();
    expect(checked.check).toMatchObject({ state: 'ended', planDigest: checked.digest, total: 11 * HOSTS + 1 });
    const expected: Record<string, [string, RegExp]> = {
      equal: ['no-change', /is as wanted/],
      motd: ['would-change', /content \(14 -> 12 bytes\)/],
      key: ['would-change', /content \(11 -> 11 bytes\)/],
      mode: ['would-change', /mode 0644 -> 0755/],
      fresh: ['would-change', /is not there, would be made/],
      done: ['no-change', /nothing is to be done/],
      open: ['would-change', /it is to be done/],
      odd: ['cannot-tell', /exit code 9/],
      blind: ['cannot-tell', /has no probe/],
      look: ['no-change', /only reads/],
      later: ['cannot-tell', /known after look/],
    };
    for (const [path, [result, summary]] of Object.entries(expected)) {
      const found = byPath(checked, path);
      expect({ path, results: found.map((one) => one.result) }).toEqual({ path, results: Array(HOSTS).fill(result) });
      for (const one of found) expect(one.summary).toMatch(summary);
    }
    expect(byPath(checked, 'skipped')).toEqual([]);
    expect(byPath(checked, 'hook')).toMatchObject([{ asset: null, result: 'cannot-tell' }]);
    expect(byPath(checked, 'motd')[0]?.diff).toBe('@@ -1,3 +1,3 @@\n one\n-two\n+2\n three');
    // Who may read the file on the host may not be who reads the plan.
    expect(byPath(checked, 'key').map(({ diff }) => diff)).toEqual(Array(HOSTS).fill(null));
    expect(byPath(checked, 'fresh').map(({ diff }) => diff)).toContain('@@ -0,0 +1,1 @@\n+made by host-001');
    const runs: unknown[] = await cli.stack.dataSource.query(`SELECT 1 FROM run`);
    expect(runs).toEqual([]);
    const records: { action: string }[] = (await cli.json<{ action: string }[]>('audit', 'list')).filter(
      ({ action }) => action === 'plan.check',
    );
    expect(records).toHaveLength(1);
  }, 60_000);

  it('tells a person what is not as wanted, the same once', async () => {
    const { exitCode, stdout, stderr } = await cli.fettle(['plan', 'configure', '--check']);
    expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/motd {2}would-change {2}host-000, host-001, host-002\n {4}.*motd: content/);
    expect(stdout).toContain('      -two\n      +2\n');
    expect(stdout).not.toMatch(/equal {2}no-change/);
    expect(stdout).toContain(
      `check  15 would-change, 9 no-change, 10 cannot-tell, 0 unreachable (of 34 steps on targets)`,
    );
    const one = await cli.fettle(['plan', 'configure', '--check', '--host', 'host-002']);
    expect(one.stdout).not.toContain('host-001');
  }, 60_000);

  it('asks a host that cannot be reached once, and says so for each of its steps', async () => {
    await cli.stack.dataSource.query(
      `UPDATE endpoint SET port = 1 WHERE asset_id = (SELECT id FROM asset WHERE name = 'host-001')`,
    );
    const checked = await cli.json<Checked>('plan', 'configure', '--check', '--on', 'asset.name == "host-001"');
    expect(checked.check.counts).toMatchObject({ unreachable: 8, 'would-change': 0 });
    expect(byPath(checked, 'odd')[0]?.summary).toMatch(/cannot connect/);
  }, 60_000);

  it('is what a start would be allowed, and shown to who asked', async () => {
    const call = (path: string, token: string, body?: object): Promise<Response> =>
      fetch(`${cli.api.url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const tokenOf = async (name: string, role: string, selector: string | null): Promise<string> => {
      const bindings = [{ role, space: 'default', selector }];
      await call('/api/v1/principals', cli.api.token, { name, kind: 'service', bindings });
      const made = await call('/api/v1/tokens', cli.api.token, { principal: name, name: 't' });
      return ((await made.json()) as { token: string }).token;
    };
    const viewer = await tokenOf('check-viewer', 'viewer', null);
    const narrowed = await tokenOf('check-narrowed', 'operator', 'asset.name == "host-000"');
    const other = await tokenOf('check-other', 'operator', 'asset.name == "host-002"');
    const refused = await call('/api/v1/plan-checks', viewer, { runbook: 'configure' });
    expect(refused.status).toBe(403);
    expect((await call('/api/v1/plan-checks', narrowed, { runbook: 'configure' })).status).toBe(403);
    const mine = await call('/api/v1/plan-checks', narrowed, { runbook: 'configure', on: 'asset.name == "host-000"' });
    expect(mine.status).toBe(202);
    const { check } = (await mine.json()) as { check: PlanCheck };
    expect((await call(`/api/v1/plan-checks/${check.id}`, narrowed)).status).toBe(200);
    expect((await call(`/api/v1/plan-checks/${check.id}`, cli.api.token)).status).toBe(200);
    for (const path of ['', '/results']) {
      const answer = await call(`/api/v1/plan-checks/${check.id}${path}`, other);
      expect((await answer.json()) as Problem).toMatchObject({ status: 404, code: 'not-found' });
    }
    expect(await cli.fettle(['plan', '-f', 'x.yaml', '--check'])).toMatchObject({ exitCode: 2 });
  }, 60_000);

  it('goes on with another worker, and does not begin what it planned where that has changed', async () => {
    const requested = await fetch(`${cli.api.url}/api/v1/plan-checks`, {
      method: 'POST',
      headers: { authorization: `Bearer ${cli.api.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ runbook: 'configure', on: 'asset.name == "host-000"' }),
    });
    const { check } = (await requested.json()) as { check: PlanCheck };
    await cli.restartWorker();
    const read = async (id: string): Promise<PlanCheck> => {
      for (;;) {
        const answer = await fetch(`${cli.api.url}/api/v1/plan-checks/${id}`, {
          headers: { authorization: `Bearer ${cli.api.token}` },
        });
        const now = (await answer.json()) as PlanCheck;
        if (now.state === 'ended' || now.state === 'failed') return now;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    expect(await read(check.id)).toMatchObject({ state: 'ended', total: 12 });
    // Its row says another plan than what would be done now.
    await cli.stack.dataSource.query(
      `UPDATE plan_check SET state = 'waiting', ended_at = NULL, plan_digest = $2 WHERE id = $1`,
      [check.id, `sha256:${'0'.repeat(64)}`],
    );
    await cli.stack.dataSource.query(`INSERT INTO outbox (kind, subject, payload) VALUES ('check-plan', $1, $2)`, [
      `check-again-${check.id}`,
      JSON.stringify({ checkId: check.id }),
    ]);
    expect(await read(check.id)).toMatchObject({ state: 'failed', error: { code: 'plan-drift' } });
    await expect(access(join(home, 'ran-blind'))).rejects.toThrow();
    expect(await readFile(join(home, 'motd'), 'utf8')).toBe('one\ntwo\nthree\n');
  }, 90_000);
});
