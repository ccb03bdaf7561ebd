import type { FirstSeen, HostPackages, KnownVersion, PackageVersion, ScannedHost } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

interface ScanRow extends Pick<HostPackages, 'manager' | 'packages' | 'offers' | 'isInterrupted'> {
  readonly assetId: string;
  readonly scannedAt: Date;
  readonly reboot: HostPackages['reboot']['state'];
  readonly rebootReasons: readonly string[];
  readonly hasSecuritySource: boolean | null;
  readonly listsReadAt: Date | null;
  readonly bootedAt: Date | null;
  /** The latest installations, the latest first; null: there was none. */
  readonly installs: readonly InstallRow[] | null;
}

interface InstallRow {
  readonly results: readonly { readonly name: string; readonly to: string; readonly state: 'installed' | 'failed' }[];
  /** The host has not booted since, as far as is known. */
  readonly isSinceBoot: boolean;
  /** The scan is from after it. */
  readonly isScanned: boolean;
}

/** So many installations of an asset are looked at: more have hardly been between two boots. */
const MAX_INSTALLS = 100;

/** What the ledger has of the packages that some assets are offered, versions included that are on offer no more. */
interface OfferedLedger {
  readonly known: ReadonlyMap<string, readonly KnownVersion[]>;
  /** The same by `versionKey`. */
  readonly firstSeen: FirstSeen;
}

/** By package manager. */
export type OfferedLedgers = ReadonlyMap<string, OfferedLedger>;

const nothingKnown: OfferedLedger = { known: new Map(), firstSeen: new Map() };

/** What some assets last said of their packages, with what installations came to; those never scanned are left out. */
export async function readPatchScans(
  transaction: Transaction,
  assetIds: readonly string[],
  /** Of these assets and perhaps of others. */
  ledgers: OfferedLedgers,
): Promise<ReadonlyMap<string, ScannedHost>> {
  const rows: ScanRow[] = await transaction.query(
    `SELECT s.asset_id AS "assetId", s.manager, s.scanned_at AS "scannedAt", s.packages, s.offers,
       s.is_interrupted AS "isInterrupted", s.reboot, s.reboot_reasons AS "rebootReasons", i.installs,
       s.has_security_source AS "hasSecuritySource", s.lists_read_at AS "listsReadAt", s.booted_at AS "bootedAt"
     FROM patch_scan s LEFT JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object('results', latest.results, 'isScanned', latest.ended_at <= s.scanned_at,
         'isSinceBoot', latest.ended_at > COALESCE(s.booted_at, '-infinity')) ORDER BY latest.started_at DESC) AS installs
       FROM (
         SELECT results, started_at, ended_at FROM patch_install
         WHERE asset_id = s.asset_id AND ended_at IS NOT NULL ORDER BY started_at DESC LIMIT $2
       ) latest
     ) i ON true
     WHERE s.asset_id = ANY ($1::uuid[])`,
    [assetIds, MAX_INSTALLS],
  );
  return new Map(
    rows.map(({ assetId, scannedAt, reboot, rebootReasons, installs, hasSecuritySource, ...told }) => {
      const { known, firstSeen } = ledgers.get(told.manager) ?? nothingKnown;
      const isKnown = hasSecuritySource === null ? {} : { hasSecuritySource };
      const host = { ...told, ...isKnown, reboot: { state: reboot, reasons: rebootReasons } };
      const results = resultsSinceBoot(installs ?? [], host.packages);
      return [assetId, { host, scannedAtMs: scannedAt.getTime(), firstSeen, known, results }];
    }),
  );
}

/** By `name=version`; a later installation knows better than an earlier one, and a later scan better than all. */
function resultsSinceBoot(
  installs: readonly InstallRow[],
  packages: HostPackages['packages'],
): ReadonlyMap<string, 'installed' | 'failed'> {
  if (installs.length === 0) return new Map();
  const whole = new Set(packages.filter((one) => one.state === 'installed').map((one) => `${one.name}=${one.version}`));
  const found = new Map<string, 'installed' | 'failed'>();
  for (const [index, { results, isSinceBoot, isScanned }] of installs.entries())
    for (const { name, to, state } of results) {
      const key = `${name}=${to}`;
      const isMended = state === 'failed' && isScanned && whole.has(key);
      const isTold = isSinceBoot || (index === 0 && state === 'failed');
      if (isTold && !isMended && !found.has(key)) found.set(key, state);
    }
  return found;
}

function firstSeenOf(known: ReadonlyMap<string, readonly KnownVersion[]>): FirstSeen {
  return new Map([...known].flatMap(([key, all]) => all.map(({ version, seenAt }) => [`${key}=${version}`, seenAt])));
}

/** What the ledger has of the packages that these assets are offered: the same for all of them, so read once for many. */
export async function readOfferedLedgers(
  transaction: Transaction,
  space: string,
  assetIds: readonly string[],
): Promise<OfferedLedgers> {
  const rows: (PackageVersion & KnownVersion & { manager: string })[] = await transaction.query(
    `WITH offered AS (
       SELECT DISTINCT s.manager, o.value ->> 'name' AS name, o.value ->> 'architecture' AS architecture
       FROM patch_scan s, jsonb_array_elements(s.offers) o WHERE s.asset_id = ANY ($2::uuid[])
     )
     SELECT v.manager, v.name, v.architecture, v.version, v.is_security AS "isSecurity", v.severity, v.first_seen_at AS "seenAt"
     FROM patch_version v JOIN offered USING (manager, name, architecture) WHERE v.space = $1`,
    [space, assetIds],
  );
  const found = new Map<string, Map<string, KnownVersion[]>>();
  for (const { manager, name, architecture, ...version } of rows) {
    const ofManager = found.get(manager) ?? new Map<string, KnownVersion[]>();
    const key = `${name}:${architecture}`;
    const ofPackage = ofManager.get(key) ?? [];
    ofPackage.push(version);
    found.set(manager, ofManager.set(key, ofPackage));
  }
  return new Map([...found].map(([manager, known]) => [manager, { known, firstSeen: firstSeenOf(known) }]));
}
