import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ApiProcess } from '../support/api-process.js';
import { fettleOf } from '../support/patch-report.js';
import { TestStack } from '../support/stack.js';

const isLong = process.env.FETTLE_LONG === '1';
/** More than one page in any case. */
const ASSETS = isLong ? 10_000 : 1_200;
const [PACKAGES, OFFERS] = [500, 40];
/** Several times what it takes on the machine that it was measured on. */
const MOST_MS_BY_ASSET = 25;

describe('fettle report patch of a whole estate', () => {
  let stack: TestStack;
  let api: ApiProcess;

  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.dataSource.query(
      `INSERT INTO asset (id, space, name, kind, labels)
       SELECT ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, 'default', 'host-' || lpad(i::text, 5, '0'), 'server',
         jsonb_build_object('ring', (i % 3)::text)
       FROM generate_series(1, $1::integer) i`,
      [ASSETS],
    );
    // Hosts differ in a tenth of what they have and are offered.
    await stack.dataSource.query(
      `INSERT INTO patch_scan (asset_id, run_id, manager, packages, offers, is_interrupted, reboot, reboot_reasons,
         has_security_source, lists_read_at, booted_at, os_release)
       SELECT a.id, a.id, 'apt',
         (SELECT jsonb_agg(jsonb_build_object('name', 'package-' || p, 'architecture', 'amd64', 'version', '1.' || p || '-1',
            'state', 'installed', 'isHeld', false)) FROM generate_series(1, $1::integer) p),
         (SELECT jsonb_agg(jsonb_build_object('name', 'package-' || p, 'architecture', 'amd64', 'installed', '1.' || p || '-1',
            'isHeld', false, 'newer', jsonb_build_array(jsonb_build_object('version', '2.' || p || '-' || 1 + right(a.name, 1)::integer,
            'isSecurity', p % 2 = 0, 'severity', NULL)))) FROM generate_series(1, $2::integer) p),
         false, 'not-needed', '{}', true, now(), now() - interval '9 days', 'debian 12'
       FROM asset a`,
      [PACKAGES, OFFERS],
    );
    await stack.dataSource.query(
      `INSERT INTO patch_version (space, manager, name, architecture, version, is_security, first_seen_at)
       SELECT 'default', 'apt', 'package-' || p, 'amd64', '2.' || p || '-' || r, p % 2 = 0, now() - interval '5 days 1 hour'
       FROM generate_series(1, $1::integer) p, generate_series(1, 10) r`,
      [OFFERS],
    );
    await stack.dataSource.query(`ANALYZE`);
    api = await ApiProcess.start(stack.environment);
  }, 600_000);
  afterAll(async () => {
    await api?.stop();
    await stack?.close();
  }, 60_000);

  it(`${ASSETS} assets in one file, with one line of names, soon enough`, async () => {
    const begunMs = performance.now();
    const { exitCode, stdout, stderr } = await fettleOf(api, 'report', 'patch', '--format', 'csv');
    const tookMs = performance.now() - begunMs;
    expect([exitCode, stderr]).toEqual([0, '']);
    const [names, ...lines] = stdout.trimEnd().split('\r\n');
    expect(names).toMatch(/^asset,compliance,.*,needsOther$/);
    // Half of what is on offer is of security.
    expect(lines).toHaveLength((ASSETS * OFFERS) / 2);
    expect(lines.filter((line) => !line.startsWith('host-'))).toEqual([]);
    expect(new Set(lines.map((line) => line.split(',').length))).toEqual(new Set([names!.split(',').length]));
    expect(lines.filter((line) => !line.includes(',non-compliant,,') || !line.includes(',5,'))).toEqual([]);
    process.stdout.write(`report patch of ${ASSETS} assets: ${(tookMs / 1000).toFixed(1)} s\n`);
    expect(tookMs).toBeLessThan(ASSETS * MOST_MS_BY_ASSET);
  }, 600_000);

  it('counts by a label of all of them', async () => {
    const { stdout } = await fettleOf(api, 'report', 'patch', '--by', 'ring', '-o', 'json');
    const counts = JSON.parse(stdout) as { value: string; assets: number; nonCompliant: number }[];
    expect(counts.map(({ value }) => value)).toEqual(['0', '1', '2']);
    expect(counts.reduce((sum, { nonCompliant }) => sum + nonCompliant, 0)).toBe(ASSETS);
  }, 600_000);
});
