import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CapturedRun } from '../../apps/cli/dist/session/testing/capture-host.js';
import { ApiProcess } from '../support/api-process.js';
import { PatchHost } from '../support/patch-host.js';
import { fettleOf, patchReport } from '../support/patch-report.js';
import { ended } from '../support/ready-made-hosts.js';

const PATIENCE_MS = 300_000;

const baseline = (name: string, spec: string): string =>
  `apiVersion: fettle/v1\nkind: PatchBaseline\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

describe('patch baselines', () => {
  let host: PatchHost;
  let api: ApiProcess;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-baselines-'));
    host = await PatchHost.start(['app', 'lib', 'plain'].map((name) => ({ name, version: '1.0' })));
    await host.stack.dataSource.query(`UPDATE asset SET labels = '{"tier": "web"}' WHERE name = 'host-000'`);
    await host.repository.add('security', ...['app', 'lib'].map((name) => ({ name, version: '2.0' })));
    await host.repository.add('main', { name: 'plain', version: '2.0' });
    api = await ApiProcess.start(host.stack.environment);
  }, 600_000);
  afterAll(async () => {
    await api?.stop();
    await host?.close();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  const fettle = (...args: string[]): Promise<CapturedRun> => fettleOf(api, ...args);
  async function apply(...documents: string[]): Promise<CapturedRun> {
    const file = join(folder, 'baselines.yaml');
    await writeFile(file, documents.join('---\n'));
    return fettle('apply', '-f', file);
  }
  async function report(...args: string[]): Promise<(string | null)[][]> {
    return (await patchReport(api, ...args)).map((one) => [
      one.compliance,
      one.baseline === null ? null : `${one.baseline.name} ${one.baseline.number}`,
      ...one.open.map(({ name, state }) => `${name} ${state}`),
    ]);
  }

  it(
    'are documents: checked with their places, listed, shown and exported',
    async () => {
      const wrong = await apply(baseline('web', '{ assets: asset.labels.tier = "web", priority: 1 }'));
      expect([wrong.exitCode, wrong.stderr]).toEqual([expect.any(Number), expect.stringMatching(/baselines\.yaml:4:/)]);
      expect(wrong.exitCode).not.toBe(0);
      const all = `{ assets: 'true', priority: -1, rejected: ['plai*'], scanMaxAge: 30d }`;
      const web = `{ assets: 'has(asset.labels.tier) && asset.labels.tier == "web"', priority: 10, updates: all, rejected: [lib] }`;
      const applied = await apply(baseline('estate', all), baseline('web', web), baseline('named', '{ updates: all }'));
      expect([applied.exitCode, applied.stderr]).toEqual([0, expect.any(String)]);
      const listed = await fettle('document', 'list', '--kind', 'PatchBaseline');
      expect(listed.stdout).toMatch(/estate[^]*named[^]*web/);
      expect((await fettle('document', 'show', 'PatchBaseline', 'web')).stdout).toContain('priority: 10');
      const exported = await fettle('export', '--kind', 'PatchBaseline');
      expect(exported.stdout.match(/kind: PatchBaseline/g)).toHaveLength(3);
    },
    PATIENCE_MS,
  );

  it(
    'that select have different priorities, also where they are applied together',
    async () => {
      const tied = await apply(baseline('other', `{ assets: 'false', priority: 10 }`));
      expect([tied.exitCode === 0, tied.stderr]).toEqual([
        false,
        expect.stringMatching(/baselines\.yaml:4:\d+.*same-priority|same-priority/s),
      ]);
      expect(tied.stderr).toContain('the baseline web of the space default has the priority 10 as well');
      const together = await apply(
        baseline('one', `{ assets: 'false', priority: 5 }`),
        baseline('two', `{ assets: 'false', priority: 5 }`),
      );
      expect(together.exitCode).not.toBe(0);
      // Two may change places in one go.
      const swap = (one: number, two: number) =>
        apply(
          baseline('one', `{ assets: 'false', priority: ${one} }`),
          baseline('two', `{ assets: 'false', priority: ${two} }`),
        );
      expect((await swap(5, 6)).exitCode).toBe(0);
      expect((await swap(6, 5)).exitCode).toBe(0);
    },
    PATIENCE_MS,
  );

  it(
    'decide what is wanted: the one with the highest priority alone, or the one that is named',
    async () => {
      expect(await report()).toEqual([['never-scanned', 'web 1']]);
      const scan = await host.step('patch.scan', {});
      expect(await host.output(scan)).toMatchObject({ wanted: 2, baseline: { name: 'web', number: 1 } });
      expect(await report()).toEqual([
        ['non-compliant', 'web 1', 'app missing', 'plain missing', 'lib installed-rejected'],
      ]);
      expect(await report('--baseline', 'estate')).toEqual([
        ['non-compliant', 'estate 1', 'app missing', 'lib missing', 'plain installed-rejected'],
      ]);
      expect(await report('--updates', 'security')).toEqual([['non-compliant', null, 'app missing', 'lib missing']]);
      const missing = await fettle('report', 'patch', '--baseline', 'nobody');
      expect(missing.stderr).toContain('There is no PatchBaseline "nobody"');
      const counts = await fettle('report', 'patch', '--by-baseline');
      expect(counts.stdout).toMatch(/BASELINE +ASSETS[^]*web +1 +0 +1 /);
    },
    PATIENCE_MS,
  );

  it(
    'are told in a check of a plan, in the log and in what is left for later steps',
    async () => {
      await host.stack.addRunbook('update', { targets: 'true', steps: [{ id: 'install', uses: 'patch.install' }] });
      const { stdout, stderr } = await fettle('plan', 'update', '--check');
      expect(`${stdout}${stderr}`).toContain('2 updates by baseline web (version 1): app 1.0 -> 2.0, plain 1.0 -> 2.0');
      const narrowed = await host.step('patch.install', { approved: ['a*'] });
      expect(await host.output(narrowed)).toMatchObject({
        baseline: { name: 'web', version: expect.stringMatching(/^sha256:/), number: 1 },
        installed: [{ name: 'app', to: '2.0' }],
        skipped: expect.arrayContaining([expect.objectContaining({ name: 'lib', reason: 'rejected' })]),
      });
      const log = await fettle('run', 'logs', narrowed.id);
      expect(log.stdout).toContain('by baseline web (version 1):');
      const named = await host.step('patch.install', { baseline: 'named', rejected: ['plain'] });
      expect(await host.output(named)).toMatchObject({ installed: [{ name: 'lib' }], baseline: { name: 'named' } });
      const wrong = await host.step('patch.install', { baseline: 'nobody' });
      expect(ended(wrong)).toMatchObject({ state: 'failed', steps: { step: 'baseline-missing' } });
      expect(await report()).toEqual([['non-compliant', 'web 1', 'plain missing', 'lib installed-rejected']]);
    },
    PATIENCE_MS,
  );
});
