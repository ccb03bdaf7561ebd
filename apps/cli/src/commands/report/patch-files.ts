import type { AssetPatches } from '@fettle/contracts';

const columns = [
  'asset',
  'compliance',
  'baseline',
  'scannedAt',
  'exposedDays',
  'reboot',
  'package',
  'state',
  'installed',
  'wanted',
  'security',
  'held',
  'packageExposedDays',
  'severity',
  'needsOther',
] as const;

type Cell = string | number | boolean | null;

/** A line for each package that is open, and one for an asset without. */
function lines(assets: readonly AssetPatches[]): Cell[][] {
  return assets.flatMap(({ asset, compliance, baseline, scannedAt, exposedDays, reboot, open }) => {
    const head = [asset, compliance, baseline?.name ?? null, scannedAt, exposedDays, reboot];
    if (open.length === 0) return [[...head, null, null, null, null, null, null, null, null, null]];
    return open.map((one) => [
      ...[...head, one.name, one.state, one.installed, one.wanted, one.isSecurity, one.isHeld, one.exposedDays],
      ...[one.severity, one.needsOther],
    ]);
  });
}

/** RFC 4180, with a line of names. */
export function patchCsv(assets: readonly AssetPatches[]): string {
  const quoted = (cell: Cell): string => {
    const text = cell === null ? '' : String(cell);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [[...columns], ...lines(assets)].map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('');
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] ?? '');

/** One page that needs nothing else: no script, no style from elsewhere. */
export function patchHtml(assets: readonly AssetPatches[], at: Date): string {
  const row = (tag: string, cells: readonly Cell[]): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell === null ? '' : String(cell))}</${tag}>`).join('')}</tr>`;
  const good = assets.filter(({ compliance }) => compliance === 'compliant').length;
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><title>Patches</title>',
    '<style>body{font:14px sans-serif}table{border-collapse:collapse}td,th{border:1px solid #999;padding:2px 6px;text-align:left}</style>',
    `</head><body><h1>Patches</h1><p>${good} of ${assets.length} assets compliant, ${escaped(at.toISOString())}</p>`,
    `<table><thead>${row('th', columns)}</thead><tbody>`,
    ...lines(assets).map((cells) => row('td', cells)),
    '</tbody></table></body></html>',
    '',
  ].join('\n');
}

export interface PatchCounts {
  readonly value: string;
  readonly assets: number;
  readonly compliant: number;
  readonly nonCompliant: number;
  readonly outdated: number;
  readonly neverScanned: number;
  readonly noSecuritySource: number;
  readonly exposedDays: number | null;
}

/** What assets with the same value of a label come to; those without it stand under an empty one. */
export function countsByLabel(assets: readonly AssetPatches[], label: string): PatchCounts[] {
  return countsBy(assets, ({ labels }) => labels[label] ?? '');
}

/** What assets with the same value come to, by value. */
export function countsBy(assets: readonly AssetPatches[], valueOf: (asset: AssetPatches) => string): PatchCounts[] {
  const groups = new Map<string, AssetPatches[]>();
  for (const one of assets) {
    const value = valueOf(one);
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [one]);
    else group.push(one);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([value, members]) => {
      const count = (wanted: AssetPatches['compliance']): number =>
        members.filter(({ compliance }) => compliance === wanted).length;
      const days = members.map(({ exposedDays }) => exposedDays).filter((one) => one !== null);
      return {
        value,
        assets: members.length,
        compliant: count('compliant'),
        nonCompliant: count('non-compliant'),
        outdated: count('outdated'),
        neverScanned: count('never-scanned'),
        noSecuritySource: count('no-security-source'),
        exposedDays: days.length === 0 ? null : Math.max(...days),
      };
    });
}
