import { describe, expect, it } from '@jest/globals';
import { noPatchCounts, type AssetPatches } from '@fettle/contracts';
import { countsByLabel, patchCsv, patchHtml } from './patch-files.js';

const asset = (name: string, more: Partial<AssetPatches> = {}): AssetPatches => ({
  asset: name,
  labels: {},
  compliance: 'compliant',
  baseline: null,
  scannedAt: null,
  manager: 'apt',
  counts: noPatchCounts(),
  exposedDays: null,
  reboot: 'unknown',
  open: [],
  ...more,
});
const open = {
  state: 'missing' as const,
  installed: '1',
  isSecurity: true,
  severity: 'Low',
  isHeld: false,
  needsOther: null,
  exposedDays: 3,
};

describe('reports of patches as files', () => {
  it('CSV quotes what would break a line, and has a line for each asset at least', () => {
    const text = patchCsv([asset('a'), asset('b', { open: [{ ...open, name: 'x', wanted: '1,"2"' }] })]);
    expect(text.split('\r\n')).toEqual([
      'asset,compliance,baseline,scannedAt,exposedDays,reboot,package,state,installed,wanted,security,held,packageExposedDays,severity,needsOther',
      'a,compliant,,,,unknown,,,,,,,,,',
      'b,compliant,,,,unknown,x,missing,1,"1,""2""",true,false,3,Low,',
      '',
    ]);
  });

  it('HTML takes nothing of a host for markup', () => {
    const text = patchHtml([asset('a', { open: [{ ...open, name: '<script>', wanted: `"&'` }] })], new Date(0));
    expect(text).toContain('<td>&lt;script&gt;</td>');
    expect(text).toContain('<td>&quot;&amp;&#39;</td>');
    expect(text).toContain('1 of 1 assets compliant, 1970-01-01T00:00:00.000Z');
    expect(text).not.toContain('<script>');
  });

  it('counts by a label, those without it as well', () => {
    const found = countsByLabel(
      [
        asset('a', { labels: { site: 'ber' }, compliance: 'non-compliant', exposedDays: 4 }),
        asset('b', { labels: { site: 'ber' }, exposedDays: 9 }),
        asset('c', { compliance: 'never-scanned' }),
      ],
      'site',
    );
    const none = { compliant: 0, nonCompliant: 0, outdated: 0, neverScanned: 0, noSecuritySource: 0 };
    expect(found).toEqual([
      { ...none, value: '', assets: 1, neverScanned: 1, exposedDays: null },
      { ...none, value: 'ber', assets: 2, compliant: 1, nonCompliant: 1, exposedDays: 9 },
    ]);
  });
});
