import { versionKey, type HostPackages, type PackageVersion, type ScannedHost } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

interface ScanRow extends Pick<HostPackages, 'manager' | 'packages' | 'offers' | 'isInterrupted'> {
  readonly assetId: string;
  readonly scannedAt: Date;
  readonly reboot: HostPackages['reboot']['state'];
  readonly rebootReasons: readonly string[];
  readonly results:
    readonly { readonly name: string; readonly to: string; readonly state: 'installed' | 'failed' }[] | null;
}

/** What some assets last said of their packages, with what the last installation came to; those never scanned are left out. */
export async function readPatchScans(
  transaction: Transaction,
  space: string,
  assetIds: readonly string[],
): Promise<ReadonlyMap<string, ScannedHost>> {
  const rows: ScanRow[] = await transaction.query(
    `SELECT s.asset_id AS "assetId", s.manager, s.scanned_at AS "scannedAt", s.packages, s.offers,
       s.is_interrupted AS "isInterrupted", s.reboot, s.reboot_reasons AS "rebootReasons", i.results
     FROM patch_scan s LEFT JOIN LATERAL (
       SELECT results FROM patch_install WHERE asset_id = s.asset_id AND ended_at IS NOT NULL ORDER BY started_at DESC LIMIT 1
     ) i ON true
     WHERE s.asset_id = ANY ($1::uuid[])`,
    [assetIds],
  );
  const seen = await offeredFirstSeen(transaction, space, assetIds);
  return new Map(
    rows.map(({ assetId, scannedAt, reboot, rebootReasons, results, ...host }) => [
      assetId,
      {
        host: { ...host, reboot: { state: reboot, reasons: rebootReasons } },
        scannedAtMs: scannedAt.getTime(),
        firstSeen: seen.get(host.manager) ?? new Map(),
        results: new Map((results ?? []).map(({ name, to, state }) => [`${name}=${to}`, state])),
      },
    ]),
  );
}

/** When the versions that these assets are offered were first seen, by package manager. */
async function offeredFirstSeen(
  transaction: Transaction,
  space: string,
  assetIds: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, Date>>> {
  const rows: (PackageVersion & { manager: string; seenAt: Date })[] = await transaction.query(
    `WITH offered AS (
       SELECT DISTINCT s.manager, o.value ->> 'name' AS name, o.value ->> 'architecture' AS architecture, n.value ->> 'version' AS version
       FROM patch_scan s, jsonb_array_elements(s.offers) o, jsonb_array_elements(o.value -> 'newer') n
       WHERE s.asset_id = ANY ($2::uuid[])
     )
     SELECT v.manager, v.name, v.architecture, v.version, v.first_seen_at AS "seenAt"
     FROM patch_version v JOIN offered USING (manager, name, architecture, version) WHERE v.space = $1`,
    [space, assetIds],
  );
  const found = new Map<string, Map<string, Date>>();
  for (const row of rows) {
    const ofManager = found.get(row.manager) ?? new Map<string, Date>();
    found.set(row.manager, ofManager.set(versionKey(row), row.seenAt));
  }
  return found;
}
