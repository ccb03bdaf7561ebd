import type { PackageManager } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

/** A version that runs on hosts of a release that came through a run. */
export interface TestedVersionRow {
  readonly manager: PackageManager;
  readonly release: string;
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
}

export interface TestedHosts {
  readonly hosts: number;
  /** Hosts that came through the run, whoever scanned them last. */
  readonly succeeded: number;
  /** Versions that the run itself installed there. */
  readonly updates: number;
}

/** By `manager release`, then `name:architecture`: versions. */
export type TestedPackages = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

const healthy = `FROM run r JOIN run_target t ON t.run_id = r.id AND t.state = 'succeeded'
     JOIN patch_scan s ON s.asset_id = t.asset_id AND s.run_id = r.id AND s.os_release IS NOT NULL AND NOT s.is_interrupted
     WHERE r.id = $1 AND r.space = $2`;

/** Hosts that came through a run and whose last scan is the run's own. */
export async function countTestedHosts(transaction: Transaction, space: string, runId: string): Promise<TestedHosts> {
  const rows: TestedHosts[] = await transaction.query(
    `WITH healthy AS (SELECT s.asset_id, s.manager, s.os_release ${healthy})
     SELECT (SELECT count(*)::integer FROM healthy) AS hosts,
       (SELECT count(*)::integer FROM run r JOIN run_target t ON t.run_id = r.id AND t.state = 'succeeded'
        WHERE r.id = $1 AND r.space = $2) AS succeeded,
       (SELECT count(DISTINCT (h.manager, h.os_release, u ->> 'name', u ->> 'architecture', u ->> 'to'))::integer
        FROM healthy h JOIN patch_install i ON i.asset_id = h.asset_id AND i.run_id = $1,
          jsonb_array_elements(i.results) u WHERE u ->> 'state' = 'installed') AS updates`,
    [runId, space],
  );
  return rows[0] ?? { hosts: 0, succeeded: 0, updates: 0 };
}

/** What is installed on them, in one order. */
export async function readTestedVersions(
  transaction: Transaction,
  space: string,
  runId: string,
): Promise<TestedVersionRow[]> {
  return transaction.query(
    `SELECT DISTINCT s.manager, s.os_release AS release, p ->> 'name' AS name, p ->> 'architecture' AS architecture, p ->> 'version' AS version
     FROM (SELECT s.manager, s.os_release, s.packages ${healthy}) s, jsonb_array_elements(s.packages) p
     WHERE p ->> 'state' = 'installed' ORDER BY 1, 2, 3, 4, 5`,
    [runId, space],
  );
}

/** Keeps a set; one that is kept already counts as used now. */
export async function keepTestedSet(
  transaction: Transaction,
  { space, digest, runId }: { readonly space: string; readonly digest: string; readonly runId: string },
  packages: TestedPackages,
): Promise<void> {
  await transaction.query(
    `INSERT INTO patch_tested_set (space, digest, run_id, packages) VALUES ($1, $2, $3, $4)
     ON CONFLICT (space, digest) DO UPDATE SET kept_at = now()`,
    [space, digest, runId, JSON.stringify(packages)],
  );
}

/** What of a set is of one release: versions by `name:architecture`, null where the set has none of it. Null: there is no such set. */
export async function findTestedVersions(
  transaction: Transaction,
  { space, digest, key }: { readonly space: string; readonly digest: string; readonly key: string },
): Promise<{ readonly versions: Readonly<Record<string, readonly string[]>> | null } | null> {
  const rows: { versions: Readonly<Record<string, readonly string[]>> | null }[] = await transaction.query(
    `SELECT packages -> $3 AS versions FROM patch_tested_set WHERE space = $1 AND digest = $2`,
    [space, digest, key],
  );
  return rows[0] ?? null;
}
