import {
  assessPatches,
  MAX_REPORTED_PATCHES,
  narrowedRules,
  type AssetPatches,
  type Page,
  type PatchReportQuery,
  type ScannedHost,
} from '@fettle/contracts';
import {
  ASSET_CONDITION_FIRST_PARAMETER,
  listAssetRows,
  readOfferedLedgers,
  readPatchScans,
  type AssetRow,
} from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';
import { baselinesOf, findBaseline, unselected, type AssetBaseline } from './patch-baselines.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

const DAY_MS = 86_400_000;
/** Assets whose packages are looked at together: each has some hundred kilobytes of them, of which little is told. */
const ASSETS_AT_ONCE = 50;

/**
 * How the assets that the actor may see stand against their baselines, or against rules that are given, by name; those never scanned
 * are told as such.
 * @throws FettleError `not-found` (the baseline), `denied` (whoever names one and may not read documents)
 */
export async function reportPatches(context: OperationContext, query: PatchReportQuery): Promise<Page<AssetPatches>> {
  const { transaction } = context;
  const { space, limit, maxAgeDays } = query;
  const selector = query.on === undefined ? null : parseSelector(query.on, { origin: 'on' });
  const rows = await listAssetRows(transaction, {
    space,
    after: decodeCursor(query.after, ['string'])?.[0] ?? null,
    limit: limit + 1,
    retired: false,
    condition: assetCondition(selector, context.scopeOf('asset:read', space), ASSET_CONDITION_FIRST_PARAMETER),
  });
  const told = new Map<string, AssetPatches>();
  const nowMs = Date.now();
  const shown = rows.slice(0, limit);
  const ids = shown.map(({ id }) => id);
  const baselineOf = await judgesOf(context, query, ids);
  const ledgers = await readOfferedLedgers(transaction, space, ids);
  for (let from = 0; from < shown.length; from += ASSETS_AT_ONCE) {
    const some = shown.slice(from, from + ASSETS_AT_ONCE);
    const scans = await readPatchScans(transaction, ids.slice(from, from + ASSETS_AT_ONCE), ledgers);
    for (const row of some) {
      const by = baselineOf(row.id);
      const at = { nowMs, maxAgeMs: maxAgeDays === undefined ? by.scanMaxAgeMs : maxAgeDays * DAY_MS };
      told.set(row.id, assetPatches(row, scans.get(row.id) ?? null, by, at));
    }
  }
  return pageFrom(
    rows,
    limit,
    (row) => told.get(row.id)!,
    (row) => [row.name],
  );
}

/** By what each of the assets is judged. Whoever names a document is to be somebody who may read documents. */
async function judgesOf(
  context: OperationContext,
  { space, updates, baseline, approved, rejected, delayDays }: PatchReportQuery,
  assetIds: readonly string[],
): Promise<(assetId: string) => AssetBaseline> {
  const { transaction } = context;
  const given = { approved, rejected, delayMs: delayDays * DAY_MS };
  if (updates !== 'baseline') {
    const { scanMaxAgeMs } = unselected;
    return () => ({ baseline: null, scanMaxAgeMs, rules: { updates, versions: [], ...given } });
  }
  const narrowed = (by: AssetBaseline): AssetBaseline => ({ ...by, rules: narrowedRules(by.rules, given) });
  if (baseline !== undefined) {
    requireUnnarrowed(context, 'document:read', space);
    const one = narrowed(await findBaseline(transaction, space, baseline));
    return () => one;
  }
  const own = await baselinesOf(transaction, space, assetIds);
  return (assetId) => narrowed(own(assetId));
}

function assetPatches(
  { name, labels }: AssetRow,
  scan: ScannedHost | null,
  { baseline, rules }: AssetBaseline,
  at: { readonly nowMs: number; readonly maxAgeMs: number },
): AssetPatches {
  const { compliance, counts, open, exposedDays } = assessPatches(scan, rules, at);
  return {
    asset: name,
    labels: { ...labels },
    compliance,
    baseline,
    scannedAt: scan === null ? null : new Date(scan.scannedAtMs).toISOString(),
    manager: scan?.host.manager ?? null,
    counts: { ...counts },
    exposedDays,
    reboot: scan?.host.reboot.state ?? null,
    open: open.slice(0, MAX_REPORTED_PATCHES).map((one) => ({ ...one })),
  };
}
