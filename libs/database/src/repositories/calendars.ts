import type { Transaction } from '../data-source.js';
import type { TargetCondition } from './run-start.js';

/** The current version of a calendar. */
export interface CalendarVersion {
  readonly versionId: string;
  readonly name: string;
}

/** Current versions of all calendars of a space, by name. */
export async function listCalendarVersions(transaction: Transaction, space: string): Promise<CalendarVersion[]> {
  return transaction.query(
    `SELECT current_version_id AS "versionId", name FROM document
     WHERE space = $1 AND kind = 'Calendar' AND current_version_id IS NOT NULL ORDER BY name`,
    [space],
  );
}

/** Which calendars hold for an asset, as conditions on alias `a`. */
export interface CalendarCover {
  /** Conditions, in the order of the calendars; their parameters are numbered from `firstParameter`. */
  readonly conditions: (firstParameter: number) => {
    readonly sql: readonly string[];
    readonly parameters: readonly unknown[];
  };
  /** Sites at which one of them is read by another clock. */
  readonly sites: readonly string[];
}

/** Assets for which the same calendars hold, by the same clocks. */
export interface CoverGroup {
  /** Null: at none of the sites that matter. */
  readonly site: string | null;
  readonly held: readonly boolean[];
  readonly count: number;
  /** Name of one of them. */
  readonly example: string;
}

interface CoverSql {
  readonly site: string;
  readonly held: string;
  readonly parameters: readonly unknown[];
}

/** Parameters from `first` on: the sites, and what the conditions take. */
function coverSql(cover: CalendarCover, first: number): CoverSql {
  const { sql, parameters } = cover.conditions(first + 1);
  return {
    site: `CASE WHEN a.site = ANY ($${first}::text[]) THEN a.site END`,
    held: `ARRAY[${sql.map((one) => `(${one})`).join(', ')}]::boolean[]`,
    parameters: [cover.sites, ...parameters],
  };
}

/** Of each asset which of the calendars hold for it. */
export async function readAssetCover(
  transaction: Transaction,
  assetIds: readonly string[],
  cover: CalendarCover,
): Promise<Map<string, Pick<CoverGroup, 'site' | 'held'>>> {
  const { site, held, parameters } = coverSql(cover, 2);
  const rows: { id: string; site: string | null; held: boolean[] }[] = await transaction.query(
    `SELECT a.id, ${site} AS site, ${held} AS held FROM asset a WHERE a.id = ANY ($1)`,
    [assetIds, ...parameters],
  );
  return new Map(rows.map(({ id, ...row }) => [id, row]));
}

/** Open targets of a run by the calendars that hold for them. */
export async function groupTargets(
  transaction: Transaction,
  runId: string,
  cover: CalendarCover,
): Promise<CoverGroup[]> {
  const { site, held, parameters } = coverSql(cover, 2);
  return transaction.query(
    `SELECT ${site} AS site, ${held} AS held, count(*)::integer AS count, min(a.name) AS example
     FROM run_target t JOIN asset a ON a.id = t.asset_id
     WHERE t.run_id = $1 AND t.state IN ('pending', 'running') GROUP BY 1, 2`,
    [runId, ...parameters],
  );
}

/** Assets by the calendars that hold for them: those of the ids. */
export async function groupAssets(
  transaction: Transaction,
  assetIds: readonly string[],
  cover: CalendarCover,
): Promise<CoverGroup[]> {
  const { site, held, parameters } = coverSql(cover, 2);
  return transaction.query(
    `SELECT ${site} AS site, ${held} AS held, count(*)::integer AS count, min(a.name) AS example
     FROM asset a WHERE a.id = ANY ($1) GROUP BY 1, 2`,
    [assetIds, ...parameters],
  );
}

/** Assets by the calendars that hold for them: those that a condition selects (parameters from 3). */
export async function groupSelected(
  transaction: Transaction,
  space: string,
  where: TargetCondition,
  cover: CalendarCover,
): Promise<CoverGroup[]> {
  const { site, held, parameters } = coverSql(cover, 3 + where.parameters.length);
  return transaction.query(
    `SELECT ${site} AS site, ${held} AS held, count(*)::integer AS count, min(a.name) AS example
     FROM asset a WHERE $1::text IS NULL AND a.space = $2 AND a.lifecycle <> 'retired' AND (${where.sql}) GROUP BY 1, 2`,
    [null, space, ...where.parameters, ...parameters],
  );
}

/** What a target waits for, as it stands in its row. */
export interface StoredClosure {
  readonly calendar: string;
  readonly reason: 'window' | 'freeze' | 'holiday';
  /** ISO 8601; null: none is known. */
  readonly nextOpenAt: string | null;
}

/** Puts the pending targets of a new run off for which the same calendars hold; their order among each other stays. */
export async function closeNewTargets(
  transaction: Transaction,
  runId: string,
  group: Pick<CoverGroup, 'site' | 'held'>,
  cover: CalendarCover,
  closed: StoredClosure & { readonly lookAgainAt: string },
): Promise<void> {
  const { lookAgainAt, ...stored } = closed;
  const { site, held, parameters } = coverSql(cover, 6);
  await transaction.query(
    `UPDATE run_target t SET closed = $2, due_at = t.due_at + ($3::timestamptz - clock_timestamp())
     FROM asset a WHERE t.run_id = $1 AND a.id = t.asset_id AND t.state = 'pending'
       -- What runs on detached is taken up at once.
       AND NOT EXISTS (SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id
         AND s.carried_from IS NOT NULL AND s.detached AND s.state = 'started')
       AND ${site} IS NOT DISTINCT FROM $4::text AND ${held} = $5::boolean[]`,
    [runId, JSON.stringify(stored), lookAgainAt, group.site, group.held, ...parameters],
  );
}

/** Days of ended runs that say how long a runbook takes. */
const EXPECTED_FROM_RUNS = 20;

/** How long an ended run went on: from its start to its end, without the time that it stood still for a calendar. */
export const wentOnMs = `(greatest(0, extract(epoch FROM ended_at - started_at
  - CASE WHEN closed_since IS NULL THEN interval '0' ELSE greatest(interval '0', ended_at - greatest(closed_since, started_at)) END
  ) * 1000 - closed_ms))::float8`;

/** How long the last ended runs of a runbook went on, the longest tenth aside; null: none has ended well. */
export async function readExpectedMs(transaction: Transaction, space: string, runbook: string): Promise<number | null> {
  const rows: { ms: number | null }[] = await transaction.query(
    `SELECT ceil(percentile_cont(0.9) WITHIN GROUP (ORDER BY ms))::float8 AS ms FROM (
       SELECT ${wentOnMs} AS ms FROM run
       WHERE space = $1 AND runbook = $2 AND state = 'succeeded' AND started_at IS NOT NULL
       ORDER BY id DESC LIMIT ${EXPECTED_FROM_RUNS}) AS last`,
    [space, runbook],
  );
  return rows[0]?.ms ?? null;
}
