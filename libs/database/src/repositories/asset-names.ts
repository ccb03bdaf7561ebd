import type { Transaction } from '../data-source.js';
import type { TargetCondition } from './run-start.js';

/** First number of a parameter in the condition that `listAssetNames` takes. */
export const ASSET_NAMES_FIRST_PARAMETER = 5;

/**
 * Names of assets in use (not retired) for which the condition on alias `a` holds, in order, at most `limit`: of those given,
 * or of those that begin with `prefix`.
 */
export async function listAssetNames(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly limit: number;
    readonly names?: readonly string[];
    readonly prefix?: string;
    readonly condition: TargetCondition | null;
  },
): Promise<readonly string[]> {
  const { space, limit, names, prefix, condition } = query;
  const rows: { name: string }[] = await transaction.query(
    `SELECT a.name FROM asset a
     WHERE a.space = $1 AND a.lifecycle <> 'retired' AND ($3::text[] IS NULL OR a.name = ANY($3))
       AND ($4::text IS NULL OR starts_with(a.name, $4)) AND (${condition?.sql ?? 'true'})
     ORDER BY a.name LIMIT $2`,
    [space, limit, names ?? null, prefix ?? null, ...(condition?.parameters ?? [])],
  );
  return rows.map((row) => row.name);
}
