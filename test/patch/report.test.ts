import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AssetPatches } from '@fettle/contracts';
import type { CapturedRun } from '../../apps/cli/dist/session/testing/capture-host.js';
import { ApiProcess } from '../support/api-process.js';
import { PatchHost } from '../support/patch-host.js';
import { fettleOf, patchReport } from '../support/patch-report.js';

const PATIENCE_MS = 300_000;

describe('fettle report patch', () => {
  let host: PatchHost;
  let api: ApiProcess;

  beforeAll(async () => {
    host = await PatchHost.start(['app', 'held', 'plain'].map((name) => ({ name, version: '1.0' })));
    await host.stack.addHosts(host.root, 1, { prefix: 'never' });
    await host.stack.dataSource.query(`UPDATE asset SET labels = '{"site": "ber"}' WHERE name = 'host-000'`);
    await host.root.inside('apt-mark', 'hold', 'held');
    const newer = ['app', 'held'].map((name) => ({ name, version: '2.0' }));
    await host.repository.add('security', ...newer);
    await host.repository.add('main', { name: 'plain', version: '2.0' });
    api = await ApiProcess.start(host.stack.environment);
  }, 600_000);
  afterAll(async () => {
    await api?.stop();
    await host?.close();
  }, 60_000);

  const fettle = (...args: string[]): Promise<CapturedRun> => fettleOf(api, ...args);
  const report = (...args: string[]): Promise<AssetPatches[]> => patchReport(api, ...args);
  const shown = (assets: readonly AssetPatches[]) =>
    assets.map(({ asset, compliance, exposedDays, open }) => [
      asset,
      compliance,
      exposedDays,
      open.map(({ name, state, wanted }) => `${name} ${state} ${wanted ?? ''}`.trim()),
    ]);
  const onHost = ['--on', 'asset.name == "host-000"'];
  const step = (uses: string, input: Record<string, unknown>) =>
    host.step(uses, input, { if: 'asset.name == "host-000"' });

  it(
    'says that an asset was never scanned, which is not compliant',
    async () => {
      expect(shown(await report())).toEqual([
        ['host-000', 'never-scanned', null, []],
        ['never-000', 'never-scanned', null, []],
      ]);
    },
    PATIENCE_MS,
  );

  it(
    'tells what is missing and for how long, until it is installed',
    async () => {
      await step('patch.scan', {});
      await host.stack.dataSource.query(
        `UPDATE patch_version SET first_seen_at = now() - interval '12 days 3 hours' WHERE name = 'app'`,
      );
      expect(shown(await report(...onHost))).toEqual([
        ['host-000', 'non-compliant', 12, ['app missing 2.0', 'held missing 2.0']],
      ]);
      const all = await report(...onHost, '--updates', 'all', '--rejected', 'held');
      expect(shown(all)).toEqual([
        ['host-000', 'non-compliant', 12, ['app missing 2.0', 'plain missing 2.0', 'held installed-rejected']],
      ]);
      expect(shown(await report(...onHost, '--max-age-days', '0'))[0]?.[1]).toBe('outdated');

      await step('patch.install', {});
      expect(shown(await report(...onHost))).toEqual([['host-000', 'non-compliant', 0, ['held missing 2.0']]]);
      expect(shown(await report(...onHost, '--approved', 'a*'))).toEqual([['host-000', 'compliant', null, []]]);
    },
    PATIENCE_MS,
  );

  it(
    'prints tables, counts by label, CSV and HTML',
    async () => {
      const table = await fettle('report', 'patch');
      expect(table.stdout).toMatch(/host-000 +non-compliant +1 +0 +0 +0 /);
      const byLabel = await fettle('report', 'patch', '--by', 'site');
      expect(byLabel.stdout).toMatch(/\(none\) +1 +0 +0 +0 +1/);
      expect(byLabel.stdout).toMatch(/ber +1 +0 +1 +0 +0 +0/);
      const csv = await fettle('report', 'patch', '--format', 'csv');
      expect(csv.stdout).toMatch(/^host-000,non-compliant,.*,held,missing,1\.0,2\.0,true,true,0,,\r$/m);
      const html = await fettle('report', 'patch', '--format', 'html');
      expect(html.stdout).toMatch(/<td>never-000<\/td><td>never-scanned<\/td>/);
    },
    PATIENCE_MS,
  );

  it(
    'tells what an update needs and may not have, as the scan does that looked for it, and an installation after it',
    async () => {
      await host.repository.add('main', { name: 'plain', version: '4.0', depends: 'held (>= 2.0)' });
      const input = { updates: 'all', approved: ['plain'], rejected: ['held'] };
      const onPlain = [...onHost, '--updates', 'all', '--approved', 'plain'];
      const told = { name: 'plain', state: 'missing', wanted: '4.0', needsOther: expect.stringMatching(/held/) };
      const scan = await step('patch.scan', input);
      expect(await host.output(scan)).toMatchObject({
        wanted: 0,
        leftAlone: [{ name: 'plain', version: '4.0', reason: 'needs-other', detail: expect.stringMatching(/held/) }],
        refusal: null,
      });
      expect((await report(...onPlain))[0]).toMatchObject({ compliance: 'non-compliant', open: [told] });
      const table = await fettle('report', 'patch', ...onPlain);
      expect(table.stdout).toMatch(/plain 4\.0 \(needs-other\)/);
      const csv = await fettle('report', 'patch', ...onPlain, '--format', 'csv');
      expect(csv.stdout).toMatch(/^host-000,.*,plain,missing,1\.0,4\.0,.*held/m);
      // A scan that keeps nothing out, and has the other one let go, knows better; an installation says it again.
      await host.root.inside('apt-mark', 'unhold', 'held');
      await step('patch.scan', { updates: 'all' });
      expect((await report(...onPlain))[0]).toMatchObject({ open: [{ ...told, needsOther: null }] });
      const install = await step('patch.install', input);
      expect(install.state).toBe('succeeded');
      expect((await report(...onPlain))[0]).toMatchObject({ open: [told] });
      await host.root.inside('apt-mark', 'hold', 'held');
      await host.root.inside('rm', host.repository.file('main', { name: 'plain', version: '4.0' }));
      await host.repository.add('main');
    },
    PATIENCE_MS,
  );

  it(
    'shows nobody more than his roles cover',
    async () => {
      const post = async (path: string, body: unknown) => (await api.call('POST', `/api/v1${path}`, { body })).body;
      const bindings = [{ role: 'viewer', selector: 'has(asset.labels.site) && asset.labels.site == "ber"' }];
      await post('/principals', { name: 'ada', kind: 'person', bindings });
      const { token } = await post('/tokens', { principal: 'ada', name: 'test' });
      const seen = await patchReport({ url: api.url, token: String(token) });
      expect(seen.map(({ asset }) => asset)).toEqual(['host-000']);
    },
    PATIENCE_MS,
  );

  it(
    'counts what pins keep back as missing, as what is held',
    async () => {
      await host.repository.add('security', { name: 'app', version: '3.0' });
      await host.root.write('etc/apt/preferences.d/test', 'Package: app\nPin: version 2.0\nPin-Priority: 1001\n');
      const run = await step('patch.install', {});
      expect(run.state).toBe('succeeded');
      expect(await host.root.version('app')).toBe('2.0');
      const { skipped } = (await host.output(run)) as { skipped: { name: string }[] };
      expect(skipped.find(({ name }) => name === 'app')).toMatchObject({
        version: '3.0',
        reason: 'held',
        detail: expect.stringMatching(/^a pin /),
      });
      const [asset] = await report(...onHost, '--approved', 'app');
      expect(asset).toMatchObject({
        compliance: 'non-compliant',
        open: [{ name: 'app', state: 'missing', wanted: '3.0', isSecurity: true, isHeld: true }],
      });
      const scan = await host.output(await step('patch.scan', {}));
      const { offers } = scan as { offers: { name: string }[] };
      expect(offers.find(({ name }) => name === 'app')).toMatchObject({
        available: '3.0',
        isHeld: true,
        isPinned: true,
      });
      await host.root.inside('rm', '/etc/apt/preferences.d/test');
      await step('patch.install', {});
      expect(shown(await report(...onHost, '--approved', 'app'))).toEqual([['host-000', 'compliant', null, []]]);
    },
    PATIENCE_MS,
  );

  it(
    'a check of a plan says what would be installed, and installs nothing',
    async () => {
      await host.stack.addRunbook('update', {
        targets: 'asset.name == "host-000"',
        steps: [{ id: 'install', uses: 'patch.install', with: { updates: 'all' } }],
      });
      const { stdout, stderr } = await fettle('plan', 'update', '--check');
      expect(`${stdout}${stderr}`).toMatch(/1 updates by the rules of the step: plain 1\.0 -> 2\.0/);
      expect(await host.root.version('plain')).toBe('1.0');
    },
    PATIENCE_MS,
  );
});
