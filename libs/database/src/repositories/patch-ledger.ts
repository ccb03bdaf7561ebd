import {
  versionKey,
  type DecidingBaseline,
  type FirstSeen,
  type HostPackages,
  type PackageManager,
  type PackageVersion,
  type PatchSelection,
} from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

/** Rows in one statement: a host is offered some hundreds. */
const BATCH = 2_000;

interface OfferedRow extends PackageVersion {
  readonly isSecurity: boolean;
  readonly severity: string | null;
}

function offeredVersions({ offers }: Pick<HostPackages, 'offers'>): OfferedRow[] {
  return offers.flatMap(({ name, architecture, newer }) => newer.map((one) => ({ name, architecture, ...one })));
}

/** Notes the versions that a host is offered and that no host of the space was offered before; those that are known stay as they are. */
export async function notePatchVersions(transaction: Transaction, space: string, host: HostPackages): Promise<void> {
  const rows = offeredVersions(host);
  for (let from = 0; from < rows.length; from += BATCH) {
    // In one order, so that two hosts at once wait for each other and never in a circle.
    await transaction.query(
      `INSERT INTO patch_version (space, manager, name, architecture, version, is_security, severity)
       SELECT DISTINCT $1, $2, o.name, o.architecture, o.version, o."isSecurity", o.severity
       FROM jsonb_to_recordset($3::jsonb) AS o (name text, architecture text, version text, "isSecurity" boolean, severity text)
       WHERE NOT EXISTS (
         SELECT 1 FROM patch_version v WHERE v.space = $1 AND v.manager = $2
           AND v.name = o.name AND v.architecture = o.architecture AND v.version = o.version)
       ORDER BY 3, 4, 5
       ON CONFLICT DO NOTHING`,
      [space, host.manager, JSON.stringify(rows.slice(from, from + BATCH))],
    );
    // An advisory may come after the package, to hosts of one source and not of another: what is known only becomes more.
    await transaction.query(
      `WITH told AS (
         SELECT v.name, v.architecture, v.version, o."isSecurity", o.severity
         FROM patch_version v
         JOIN jsonb_to_recordset($3::jsonb) AS o (name text, architecture text, version text, "isSecurity" boolean, severity text)
           ON v.name = o.name AND v.architecture = o.architecture AND v.version = o.version
         WHERE v.space = $1 AND v.manager = $2
           AND ((o."isSecurity" AND NOT v.is_security) OR (o.severity IS NOT NULL AND v.severity IS NULL))
         ORDER BY v.name, v.architecture, v.version FOR UPDATE OF v
       )
       UPDATE patch_version v SET is_security = v.is_security OR t."isSecurity", severity = COALESCE(v.severity, t.severity)
       FROM told t WHERE v.space = $1 AND v.manager = $2
         AND v.name = t.name AND v.architecture = t.architecture AND v.version = t.version`,
      [space, host.manager, JSON.stringify(rows.slice(from, from + BATCH))],
    );
  }
}

/** Since when the versions that a host is offered are known in the space; those that are not are left out. */
export async function patchesFirstSeen(
  transaction: Transaction,
  space: string,
  host: HostPackages,
): Promise<FirstSeen> {
  const rows: (PackageVersion & { seenAt: Date })[] = await transaction.query(
    `SELECT v.name, v.architecture, v.version, v.first_seen_at AS "seenAt" FROM patch_version v
     JOIN jsonb_to_recordset($3::jsonb) AS o (name text, architecture text, version text)
       ON v.name = o.name AND v.architecture = o.architecture AND v.version = o.version
     WHERE v.space = $1 AND v.manager = $2`,
    [space, host.manager, JSON.stringify(offeredVersions(host))],
  );
  return new Map(rows.map((row) => [versionKey(row), row.seenAt]));
}

/** Replaces what the asset said of its packages before. */
export async function savePatchScan(
  transaction: Transaction,
  assetId: string,
  runId: string,
  host: HostPackages,
): Promise<void> {
  await transaction.query(
    // Lists are not read less lately than was known before, and not in the future, whatever the host's clock says.
    `INSERT INTO patch_scan (asset_id, run_id, manager, packages, offers, is_interrupted, reboot, reboot_reasons,
       has_security_source, lists_read_at, booted_at, os_release)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10::timestamptz > now() THEN now() ELSE $10::timestamptz END, $11, $12)
     ON CONFLICT (asset_id) DO UPDATE SET run_id = excluded.run_id, manager = excluded.manager, scanned_at = now(),
       packages = excluded.packages, offers = excluded.offers, is_interrupted = excluded.is_interrupted,
       reboot = excluded.reboot, reboot_reasons = excluded.reboot_reasons,
       has_security_source = excluded.has_security_source, booted_at = excluded.booted_at, os_release = excluded.os_release,
       lists_read_at = GREATEST(patch_scan.lists_read_at, excluded.lists_read_at)`,
    [
      assetId,
      runId,
      host.manager,
      JSON.stringify(host.packages),
      JSON.stringify(host.offers),
      host.isInterrupted,
      host.reboot.state,
      host.reboot.reasons,
      host.hasSecuritySource ?? null,
      host.listsReadAt ?? null,
      host.bootedAt ?? null,
      host.release ?? null,
    ],
  );
}

/** What an installation is to do, kept before it begins. */
export interface KeptSelection extends PatchSelection {
  readonly manager: PackageManager;
  /** Null: no baseline selects the asset. Absent: the step's own rules decided. */
  readonly baseline?: DecidingBaseline | null;
}

export interface PatchInstallKey {
  /** Effect token of the attempt. */
  readonly token: string;
  /** Of the first attempt of the step. */
  readonly stepToken: string;
  readonly assetId: string;
  readonly runId: string;
}

export async function findPatchSelection(transaction: Transaction, token: string): Promise<KeptSelection | null> {
  const rows: { selection: KeptSelection }[] = await transaction.query(
    `SELECT selection FROM patch_install WHERE token = $1`,
    [token],
  );
  return rows[0]?.selection ?? null;
}

/** Keeps it, unless somebody has already for this token: whoever comes first decides. Gives what is kept. */
export async function keepPatchSelection(
  transaction: Transaction,
  { token, stepToken, assetId, runId }: PatchInstallKey,
  selection: KeptSelection,
): Promise<KeptSelection> {
  await transaction.query(
    `INSERT INTO patch_install (token, step_token, asset_id, run_id, selection) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (token) DO NOTHING`,
    [token, stepToken, assetId, runId, JSON.stringify(selection)],
  );
  return (await findPatchSelection(transaction, token)) ?? selection;
}

export async function savePatchResults(
  transaction: Transaction,
  token: string,
  results: readonly Readonly<Record<string, unknown>>[],
): Promise<void> {
  await transaction.query(`UPDATE patch_install SET results = $2, ended_at = now() WHERE token = $1`, [
    token,
    JSON.stringify(results),
  ]);
}

/** What all attempts of a step chose, the first one first: by its token they are undone together. */
export async function readPatchSelections(transaction: Transaction, stepToken: string): Promise<KeptSelection[]> {
  const rows: { selection: KeptSelection }[] = await transaction.query(
    `SELECT selection FROM patch_install WHERE step_token = $1 ORDER BY started_at, token`,
    [stepToken],
  );
  return rows.map(({ selection }) => selection);
}
