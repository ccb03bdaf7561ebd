import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { DnfHost } from '../support/dnf-host.js';

const PATIENCE_MS = 300_000;
const ended = (run: RunDetail) => [run.state, run.targets[0]?.error ?? null];

describe('patch.scan and patch.install on a host with dnf', () => {
  let host: DnfHost;

  beforeAll(async () => {
    const names = ['app', 'bad', 'cfg', 'fine', 'held', 'moved', 'needy', 'never', 'other', 'worse', 'young'];
    const first = names.map((name) => ({ name, version: '1.0' }));
    host = await DnfHost.begin(first.map((one) => (one.name === 'cfg' ? { ...one, conffile: 'from 1.0\n' } : one)));
    await host.root.inside('dnf', '-q', 'versionlock', 'add', 'held');
    await host.root.inside('dnf', '-q', 'mark', 'remove', 'fine');
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  it(
    'scans: what is offered, how severe, and when its lists were read',
    async () => {
      await host.repository.add('updates', { name: 'app', version: '1.1' }, { name: 'app', version: '1.2' });
      await host.repository.add('updates', { name: 'held', version: '2.0' });
      await host.repository.advise({
        id: 'TEST-1',
        type: 'security',
        severity: 'Important',
        packages: [{ name: 'app', version: '1.1' }],
      });
      const run = await host.step('patch.scan', {});
      expect(ended(run)).toEqual(['succeeded', null]);
      const offer = { architecture: 'noarch', firstSeenAt: expect.stringMatching(/^\d{4}-.*Z$/) };
      expect(await host.output(run)).toMatchObject({
        manager: 'dnf',
        packages: 12,
        updates: 2,
        securityUpdates: 1,
        held: ['held'],
        offers: [
          { ...offer, name: 'app', available: '1.2-1', isSecurity: true, severity: 'Important', isHeld: false },
          { ...offer, name: 'held', available: '2.0-1', isSecurity: false, severity: null, isHeld: true },
        ],
        isInterrupted: false,
        reboot: 'not-needed',
      });
      const ledger = await host.stack.dataSource.query<unknown[]>(
        `SELECT version, is_security AS "isSecurity", severity FROM patch_version
         WHERE manager = 'dnf' AND name = 'app' ORDER BY version`,
      );
      // The advisory of the other one comes later, and makes it one of security here as well.
      await host.repository.advise({ id: 'TEST-2', type: 'security', packages: [{ name: 'held', version: '2.0' }] });
      await host.step('patch.scan', {});
      const later = await host.stack.dataSource.query<unknown[]>(
        `SELECT is_security AS "isSecurity", severity FROM patch_version WHERE name = 'held'`,
      );
      expect(later).toEqual([{ isSecurity: true, severity: null }]);
      expect(ledger).toEqual([
        { version: '1.1-1', isSecurity: true, severity: 'Important' },
        { version: '1.2-1', isSecurity: false, severity: null },
      ]);
    },
    PATIENCE_MS,
  );

  it(
    'installs security updates only, and the second time nothing',
    async () => {
      const run = await host.step('patch.install', {});
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({
        manager: 'dnf',
        changed: true,
        installed: [{ name: 'app', architecture: 'noarch', from: '1.0-1', to: '1.1-1' }],
        repaired: false,
        warnings: [],
      });
      expect(await host.skipped(run)).toEqual({ held: 'held' });
      expect(await host.version('app')).toBe('1.1-1');
      const again = await host.step('patch.install', {});
      expect(ended(again)).toEqual(['succeeded', null]);
      expect(await host.output(again)).toMatchObject({ changed: false, installed: [] });
    },
    PATIENCE_MS,
  );

  it(
    'goes by patterns, of which the rejected win, leaves held packages alone and what would need a rejected one',
    async () => {
      await host.repository.add(
        'updates',
        { name: 'never', version: '2.0' },
        { name: 'needy', version: '2.0', requires: 'never >= 2' },
        // Its epoch of 0 is written by rpm, and not by dnf.
        { name: 'fine', version: '2.0', epoch: 0 },
        { name: 'other', version: '2.0', requires: 'nothing-has-this' },
      );
      const run = await host.step('patch.install', {
        updates: 'all',
        approved: ['ne*', 'f?ne', 'held', 'other'],
        rejected: ['never'],
      });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.results(run)).toEqual({ fine: '2.0-1 installed' });
      expect(await host.skipped(run)).toEqual({
        app: 'not-approved',
        held: 'held',
        needy: 'needs-other',
        never: 'rejected',
        other: 'needs-other',
      });
      expect([await host.version('needy'), await host.version('held')]).toEqual(['1.0-1', '1.0-1']);
      // It was there for others only, and still is.
      expect(await host.root.inside('dnf', '-q', '-C', 'history', 'userinstalled')).not.toMatch(/^fine-/m);
    },
    PATIENCE_MS,
  );

  it(
    'never asks, keeps a configuration file that was changed, and says where the new one is',
    async () => {
      await host.root.write('etc/cfg.conf', 'changed here\n');
      await host.repository.add('updates', { name: 'cfg', version: '2.0', conffile: 'from 2.0\n' });
      const run = await host.step('patch.install', { updates: 'all', approved: ['cfg'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({ keptFiles: ['/etc/cfg.conf.rpmnew'] });
      expect(await readFile(host.root.path('etc/cfg.conf'), 'utf8')).toBe('changed here\n');
      expect(await readFile(host.root.path('etc/cfg.conf.rpmnew'), 'utf8')).toBe('from 2.0\n');
    },
    PATIENCE_MS,
  );

  it(
    'installs exact versions, and refuses one that nobody offers before it does anything',
    async () => {
      await host.repository.add('updates', { name: 'young', version: '2.0' }, { name: 'young', version: '3.0' });
      const versions = [
        { name: 'young', version: '2.0-1' },
        { name: 'not-there', version: '1.0-1' },
        { name: 'app', version: '0.9-1' },
      ];
      const run = await host.step('patch.install', { updates: 'exact', versions });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.results(run)).toEqual({ young: '2.0-1 installed' });
      expect(await host.skipped(run)).toEqual({ 'not-there': 'not-installed', app: 'newer-installed' });
      const missing = [{ name: 'young', version: '9.9-1' }];
      const refused = await host.step('patch.install', { updates: 'exact', versions: missing });
      expect(refused.targets[0]?.error).toMatchObject({ code: 'version-not-offered' });
    },
    PATIENCE_MS,
  );

  it(
    'installs what was for any architecture and is for one now, and puts nothing aside for it',
    async () => {
      await host.repository.add('updates', { name: 'moved', version: '2.0', isNative: true });
      const run = await host.step('patch.install', { updates: 'all', approved: ['moved'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.results(run)).toEqual({ moved: '2.0-1 installed' });
      expect(await host.version('moved')).toBe('2.0-1');
    },
    PATIENCE_MS,
  );

  it(
    'tells of each package where a script fails: before its files it is not installed, after them it is, with a warning',
    async () => {
      await host.repository.add(
        'updates',
        { name: 'bad', version: '2.0', post: 'echo "no such port" >&2; exit 7' },
        { name: 'fine', version: '3.0' },
        { name: 'worse', version: '2.0', pre: 'exit 3' },
      );
      const warned = await host.step('patch.install', { updates: 'all', approved: ['bad'] });
      expect(ended(warned)).toEqual(['succeeded', null]);
      expect(await host.output(warned)).toMatchObject({ warnings: ['bad: %post script failed, exit status 7'] });
      const run = await host.step('patch.install', { updates: 'all', approved: ['fine', 'worse'] });
      expect(run.state).toBe('failed');
      expect(run.targets[0]?.error).toMatchObject({
        code: 'patch-failed',
        message: expect.stringMatching(
          /^host-000: "dnf upgrade" ended with exit code 1, 1 of 2 updates failed: worse 1\.0-1 -> 2\.0-1: %prein? script failed, exit status 3 \(it is installed in version 1\.0-1\)/,
        ),
      });
      expect(await host.results(run)).toEqual({ worse: '2.0-1 failed', fine: '3.0-1 installed' });
    },
    PATIENCE_MS,
  );
});
