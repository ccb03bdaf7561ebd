import {
  assessPatches,
  MAX_REPORTED_PATCHES,
  type AssetPatches,
  type Page,
  type PatchReportQuery,
  type PatchRules,
  type ScannedHost,
} from '@fettle/contracts';
import { ASSET_CONDITION_FIRST_PARAMETER, listAssetRows, readPatchScans, type AssetRow } from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';

const DAY_MS = 86_400_000;

/** How the assets that the actor may see stand against rules of patches, by name; those never scanned are told as such. */
export async function reportPatches(context: OperationContext, query: PatchReportQuery): Promise<Page<AssetPatches>> {
  const { transaction } = context;
  const { space, limit, updates, approved, rejected, delayDays, maxAgeDays } = query;
  const selector = query.on === undefined ? null : parseSelector(query.on, { origin: 'on' });
  const rows = await listAssetRows(transaction, {
    space,
    after: decodeCursor(query.after, ['string'])?.[0] ?? null,
    limit: limit + 1,
    retired: false,
    condition: assetCondition(selector, context.scopeOf('asset:read', space), ASSET_CONDITION_FIRST_PARAMETER),
  });
  const ids = rows.map(({ id }) => id);
  const scans = await readPatchScans(transaction, space, ids);
  const rules: PatchRules = { updates, versions: [], approved, rejected, delayMs: delayDays * DAY_MS };
  const at = { nowMs: Date.now(), maxAgeMs: maxAgeDays * DAY_MS };
  return pageFrom(
    rows,
    limit,
    (row) => assetPatches(row, scans.get(row.id) ?? null, rules, at),
    (row) => [row.name],
  );
}

function assetPatches(
  { name, labels }: AssetRow,
  scan: ScannedHost | null,
  rules: PatchRules,
  at: { readonly nowMs: number; readonly maxAgeMs: number },
): AssetPatches {
  const { compliance, counts, open, exposedDays } = assessPatches(scan, rules, at);
  return {
    asset: name,
    labels: { ...labels },
    compliance,
    scannedAt: scan === null ? null : new Date(scan.scannedAtMs).toISOString(),
    manager: scan?.host.manager ?? null,
    counts: { ...counts },
    exposedDays,
    reboot: scan?.host.reboot.state ?? null,
    open: open.slice(0, MAX_REPORTED_PATCHES).map((one) => ({ ...one })),
  };
}
