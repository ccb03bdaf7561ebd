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
  readPatchScans,
  type AssetRow,
  type Transaction,
} from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';
import { baselinesOf, findBaseline, unselected, type AssetBaseline } from './patch-baselines.js';

const DAY_MS = 86_400_000;
/** Assets whose packages are looked at together: each has some hundred kilobytes of them, of which little is told. */
const ASSETS_AT_ONCE = 50;

/**
 * How the assets that the actor may see stand against their baselines, or against rules that are given, by name; those never scanned
 * are told as such.
 * @throws FettleError `not-found` (the baseline)
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
  for (let from = 0; from < Math.min(rows.length, limit); from += ASSETS_AT_ONCE) {
    const some = rows.slice(from, Math.min(from + ASSETS_AT_ONCE, limit));
    const ids = some.map(({ id }) => id);
    const baselineOf = await judgesOf(transaction, query, ids);
    const scans = await readPatchScans(transaction, space, ids);
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

/** By what each of the assets is judged. */
async function judgesOf(
  transaction: Transaction,
  { space, updates, baseline, approved, rejected, delayDays }: PatchReportQuery,
  assetIds: readonly string[],
): Promise<(assetId: string) => AssetBaseline> {
  const given = { approved, rejected, delayMs: delayDays * DAY_MS };
  if (updates !== 'baseline') {
    const { scanMaxAgeMs } = unselected;
    return () => ({ baseline: null, scanMaxAgeMs, rules: { updates, versions: [], ...given } });
  }
  const narrowed = (by: AssetBaseline): AssetBaseline => ({ ...by, rules: narrowedRules(by.rules, given) });
  if (baseline !== undefined) {
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
