import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { DebianRepository, type TestPackage } from '../support/debian-repository.js';
import { DebianRoot } from '../support/debian-root.js';
import { PatchHost } from '../support/patch-host.js';
import { readyMade } from '../support/ready-made.js';
import { ended } from '../support/ready-made-hosts.js';

const PATIENCE_MS = 300_000;
const names = ['app', 'came', 'extra', 'leaves', 'needs'];
const installed: TestPackage[] = names.map((name) => ({ name, version: '1.0' }));
const at = (version: string, ...all: string[]): TestPackage[] => all.map((name) => ({ name, version }));
const needs: TestPackage = { name: 'needs', version: '2.0', depends: 'came (>= 2.0)' };

describe('rings', () => {
  let first: PatchHost;
  let later: DebianRoot;
  let repository: DebianRepository;

  beforeAll(async () => {
    [first, later] = await Promise.all([PatchHost.start(installed), DebianRoot.start({ user: 'ops' })]);
    repository = await DebianRepository.create(later);
    await repository.add('main', ...installed);
    await later.inside('apt-get', '-q', 'update');
    await later.inside('apt-get', '-y', '-q', 'install', ...names);
    await first.stack.addHosts(later, 1, { prefix: 'later' });
    await first.stack.dataSource.query(`UPDATE asset SET labels = '{"ring": "0"}' WHERE name = 'host-000'`);
    await first.stack.addRunbook('patch-fleet', readyMade('patch-fleet').written);
    await first.stack.addRunbook('patch-rings', readyMade('patch-rings').written);
  }, 600_000);
  afterAll(async () => {
    await first?.close();
    await later?.stop();
  }, 60_000);

  const versions = async (root: DebianRoot): Promise<Record<string, string>> =>
    Object.fromEntries(await Promise.all(names.map(async (name) => [name, await root.version(name)] as const)));
  const skippedOn = async (asset: string): Promise<Record<string, string>> => {
    const rows: { selection: { skipped: { name: string; version: string; reason: string }[] } }[] =
      await first.stack.dataSource.query(
        `SELECT i.selection FROM patch_install i JOIN asset a ON a.id = i.asset_id WHERE a.name = $1
         ORDER BY i.started_at DESC LIMIT 1`,
        [asset],
      );
    const skipped = rows[0]?.selection.skipped ?? [];
    return Object.fromEntries(skipped.map(({ name, version, reason }) => [`${name} ${version}`, reason]));
  };
  /** Of the later host, by the release that it told. */
  const wanted = async ({ id }: RunDetail): Promise<Record<string, number | null>> => {
    const rows: { release: string; wanted: number | null }[] = await first.stack.dataSource.query(
      `SELECT s.os_release AS release, (t.outputs -> 'step' ->> 'wanted')::int AS wanted FROM run_target t
       JOIN patch_scan s ON s.asset_id = t.asset_id AND s.run_id = t.run_id WHERE t.run_id = $1 AND t.asset_name = 'later-000'`,
      [id],
    );
    return Object.fromEntries(rows.map((row) => [row.release, row.wanted]));
  };
  const digest = async (): Promise<string> => {
    const rows: { digest: string }[] = await first.stack.dataSource.query(`SELECT digest FROM patch_tested_set`);
    expect(rows).toHaveLength(1);
    return rows[0]!.digest;
  };

  it(
    'the later one installs exactly what the first one was well with, though its sources have moved on',
    async () => {
      await first.repository.add('main', ...at('2.0', 'app', 'came', 'leaves'), needs);
      // Where the other takes its packages from, there is more by now, and less.
      await repository.add('main', ...at('2.0', 'app', 'extra'), needs, ...at('3.0', 'app', 'came', 'leaves'));
      const inputs = { updates: 'all', approve: false, soak: '1s', reboot: false, secondRing: true };
      const run = await first.stack.ended((await first.stack.start('patch-rings', { inputs })).id, PATIENCE_MS);
      expect(ended(run)).toMatchObject({ state: 'succeeded' });
      expect(run.summary).toBe('4 versions were tested on 1 of 1 hosts; ring 1 has no host and was passed over');
      expect(await versions(first.root)).toEqual({
        app: '2.0',
        came: '2.0',
        extra: '1.0',
        leaves: '2.0',
        needs: '2.0',
      });
      // `needs` 2.0 would bring `came` 3.0 along, which nobody tested.
      expect(await versions(later)).toEqual({ app: '2.0', came: '1.0', extra: '1.0', leaves: '1.0', needs: '1.0' });
      expect(await skippedOn('later-000')).toMatchObject({
        'app 3.0': 'not-tested',
        'came 3.0': 'not-tested',
        'came 2.0': 'gone',
        'extra 2.0': 'not-tested',
        'leaves 3.0': 'not-tested',
        'leaves 2.0': 'gone',
        'needs 2.0': 'needs-other',
      });
    },
    PATIENCE_MS,
  );

  it('rings that would soak for longer than a run may take are refused before any of them is patched', async () => {
    const start = (inputs: object) => first.stack.start('patch-rings', { inputs: { approve: false, ...inputs } });
    await expect(start({ soak: '16d', secondRing: true })).rejects.toMatchObject({
      code: 'invalid-inputs',
      message: expect.stringMatching(/the input "soak" must match .*up to 25d, and up to 11d with a second ring/),
    });
    await expect(start({ soak: '26d' })).rejects.toMatchObject({ code: 'invalid-inputs' });
  });

  it(
    'a version that comes back is installed as it was tested, a newer one is not',
    async () => {
      await repository.add('main', ...at('2.0', 'came'), ...at('4.0', 'app', 'needs'));
      await rm(later.path(repository.file('main', { name: 'came', version: '3.0' })), { force: true });
      await repository.add('main');
      const fleet = async (more: object): Promise<RunDetail> => {
        const inputs = { updates: 'all', approve: false, reboot: false, ...more };
        const on = 'asset.name == "later-000"';
        return first.stack.ended((await first.stack.start('patch-fleet', { inputs, on })).id, PATIENCE_MS);
      };
      expect(ended(await fleet({ tested: await digest() }))).toMatchObject({ state: 'succeeded' });
      expect(await versions(later)).toMatchObject({ app: '2.0', came: '2.0', needs: '2.0', extra: '1.0' });
      // Nothing is left that was tested: the host is not touched.
      const again = await fleet({ tested: await digest() });
      expect(ended(again)).toMatchObject({ state: 'succeeded', steps: { install: 'skipped' } });
      const unknown = await first.step('patch.install', { tested: `sha256:${'0'.repeat(64)}` });
      expect(ended(unknown)).toMatchObject({ state: 'failed', steps: { step: 'tested-set-missing' } });
    },
    PATIENCE_MS,
  );

  it(
    'a run none of whose hosts came through has tested nothing, and a set is for its release alone',
    async () => {
      const spec = { inputs: { type: 'object', properties: { run: { type: 'string' } } } };
      const keep = { id: 'keep', uses: 'patch.tested', with: { run: '${{ inputs.run }}' } };
      await first.stack.addRunbook('keep', { ...spec, steps: [keep] });
      const inputs = { run: '00000000-0000-7000-8000-000000000000' };
      const run = await first.stack.ended((await first.stack.start('keep', { inputs })).id, PATIENCE_MS);
      expect(run).toMatchObject({ state: 'failed', error: { code: 'nothing-tested' } });
      // Something that was tested, and that the later one does not have yet.
      await repository.add('main', ...at('2.0', 'leaves'));
      const scan = async (): Promise<RunDetail> => first.step('patch.scan', { updates: 'all', tested: await digest() });
      const before = await scan();
      expect(before.state).toBe('succeeded');
      expect(await wanted(before)).toEqual({ 'debian 12': 1 });
      await later.write('etc/os-release', 'ID=debian\nVERSION_ID="13"\n');
      const after = await scan();
      expect(after.targets.find(({ asset }) => asset === 'later-000')).toMatchObject({
        state: 'failed',
        error: { code: 'release-not-tested', message: expect.stringMatching(/^later-000: .*\(debian 13\)/) },
      });
      // What it says of itself is kept all the same, and nothing is wanted.
      expect(await wanted(after)).toEqual({ 'debian 13': null });
    },
    PATIENCE_MS,
  );
});
