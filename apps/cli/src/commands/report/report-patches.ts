import { assetPatchesSchema, type AssetPatches } from '@fettle/contracts';
import type { Column } from '../../output/table.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { countsBy, countsByLabel, patchCsv, patchHtml, type PatchCounts } from './patch-files.js';

interface ReportOptions extends SpaceOptions {
  readonly on?: string;
  readonly updates?: string;
  readonly baseline?: string;
  readonly approved?: readonly string[];
  readonly rejected?: readonly string[];
  readonly delayDays: number;
  readonly maxAgeDays?: number;
  readonly by?: string;
  readonly byBaseline?: boolean;
  readonly format?: 'csv' | 'html';
  readonly limit?: number;
}

export async function reportPatches(session: Session, options: ReportOptions): Promise<number> {
  const { space, on, updates, baseline, delayDays, maxAgeDays, limit, by, format } = options;
  const [approved, rejected] = [options.approved?.join(','), options.rejected?.join(',')];
  const query = { space, on, updates, baseline, approved, rejected, delayDays, maxAgeDays };
  const path = '/api/v1/reports/patches';
  const { items, hasMore } = await session.connect(options).list(path, assetPatchesSchema, query, limit);
  const { output } = session;
  if (format === 'csv') output.stdout.write(patchCsv(items));
  else if (format === 'html') output.stdout.write(patchHtml(items, new Date(session.host.now())));
  else if (options.byBaseline === true) {
    const counts = countsBy(items, (one) => one.baseline?.name ?? '');
    output.list(options.output, counts, countColumns('baseline'), 'No assets.');
  } else if (by !== undefined) output.list(options.output, countsByLabel(items, by), countColumns(by), 'No assets.');
  else output.list(options.output, items, assetColumns, on === undefined ? 'No assets.' : 'No asset matches.');
  if (hasMore) output.note('There are more; without --limit all are listed.');
  return EXIT.ok;
}

const assetColumns: Column<AssetPatches>[] = [
  { title: 'ASSET', value: ({ asset }) => asset },
  { title: 'STATE', value: ({ compliance }) => compliance },
  { title: 'BASELINE', value: ({ baseline }) => baseline?.name },
  { title: 'MISSING', value: ({ counts }) => counts.missing, align: 'right' },
  { title: 'FAILED', value: ({ counts }) => counts.failed, align: 'right' },
  { title: 'REJECTED', value: ({ counts }) => counts['installed-rejected'], align: 'right' },
  { title: 'EXPOSED DAYS', value: ({ exposedDays }) => exposedDays, align: 'right' },
  { title: 'REBOOT', value: ({ reboot }) => reboot },
  { title: 'SCANNED', value: ({ scannedAt }) => scannedAt },
  { title: 'OPEN', value: ({ open }) => openText(open) },
];

function openText(open: AssetPatches['open']): string {
  const shown = open
    .slice(0, 3)
    .map(
      ({ name, wanted, needsOther }) =>
        `${name}${wanted === null ? '' : ` ${wanted}`}${needsOther === null ? '' : ' (needs-other)'}`,
    );
  return `${shown.join(', ')}${open.length > 3 ? `, ${open.length - 3} more` : ''}`;
}

const countColumns = (what: string): Column<PatchCounts>[] => [
  { title: what.toUpperCase(), value: ({ value }) => value || '(none)' },
  { title: 'ASSETS', value: ({ assets }) => assets, align: 'right' },
  { title: 'COMPLIANT', value: ({ compliant }) => compliant, align: 'right' },
  { title: 'NON-COMPLIANT', value: ({ nonCompliant }) => nonCompliant, align: 'right' },
  { title: 'OUTDATED', value: ({ outdated }) => outdated, align: 'right' },
  { title: 'NEVER SCANNED', value: ({ neverScanned }) => neverScanned, align: 'right' },
  { title: 'NO SECURITY SOURCE', value: ({ noSecuritySource }) => noSecuritySource, align: 'right' },
  { title: 'EXPOSED DAYS', value: ({ exposedDays }) => exposedDays, align: 'right' },
];
