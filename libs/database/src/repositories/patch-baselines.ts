import type { Transaction } from '../data-source.js';

/** The current version of a baseline. */
export interface BaselineVersion {
  readonly versionId: string;
  readonly name: string;
  readonly digest: string;
  readonly number: number;
}

/** Current versions of all baselines of a space, by name. */
export async function listBaselineVersions(transaction: Transaction, space: string): Promise<BaselineVersion[]> {
  return transaction.query(
    `SELECT v.id AS "versionId", d.name, v.digest, v.number FROM document d
     JOIN document_version v ON v.id = d.current_version_id
     WHERE d.space = $1 AND d.kind = 'PatchBaseline' ORDER BY d.name`,
    [space],
  );
}

/** One at a time applies baselines of a space, until its transaction ends. Before any document is locked. */
export async function lockBaselines(transaction: Transaction, space: string): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock(hashtextextended('patch-baselines:' || $1, 0))`, [space]);
}

/** Conditions on alias `a`, their parameters numbered from `firstParameter`. */
export type AssetConditions = (firstParameter: number) => {
  readonly sql: readonly string[];
  readonly parameters: readonly unknown[];
};

/** Of each asset which is the first of the conditions that holds for it, from 0; assets for which none does are left out. */
export async function firstConditionOf(
  transaction: Transaction,
  assetIds: readonly string[],
  conditions: AssetConditions,
): Promise<Map<string, number>> {
  const { sql, parameters } = conditions(2);
  if (sql.length === 0 || assetIds.length === 0) return new Map();
  const cases = sql.map((condition, index) => `WHEN (${condition}) THEN ${index}`).join(' ');
  const rows: { id: string; found: number | null }[] = await transaction.query(
    `SELECT a.id, CASE ${cases} END::integer AS found FROM asset a WHERE a.id = ANY ($1::uuid[])`,
    [assetIds, ...parameters],
  );
  return new Map(rows.flatMap(({ id, found }) => (found === null ? [] : [[id, found] as const])));
}
