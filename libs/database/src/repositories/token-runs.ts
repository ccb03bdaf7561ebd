import type { Transaction } from '../data-source.js';

/** Runs of a line are as many as people take up the same work again; a longer one counts from there on. */
const MAX_RESUMED_RUNS = 1000;

/** The runs that a resumed run takes up, the first one first; a retry knows nothing of the one before, and takes up none. */
export async function readResumedRuns(transaction: Transaction, runId: string): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `WITH RECURSIVE line (id, depth) AS (
       SELECT continues, 1 FROM run WHERE id = $1 AND continued_how = 'resume' AND continues IS NOT NULL
       UNION ALL SELECT r.continues, line.depth + 1 FROM line JOIN run r ON r.id = line.id
         WHERE r.continued_how = 'resume' AND r.continues IS NOT NULL AND line.depth < $2)
     SELECT id FROM line ORDER BY depth DESC`,
    [runId, MAX_RESUMED_RUNS],
  );
  return rows.map(({ id }) => id);
}

/**
 * The run whose tokens name what a step on a target keeps for its undo, by asset: the first of those that this one takes up or, where
 * one of them has undone the step, the one after that, since it is to happen once more. An undo in the run itself changes nothing.
 */
export async function readTokenRuns(
  transaction: Transaction,
  { runId, resumes }: { readonly runId: string; readonly resumes: readonly string[] },
  steps: readonly { readonly assetId: string; readonly path: string }[],
): Promise<(assetId: string) => string> {
  const line = [...resumes, runId];
  const undone: { assetId: string; position: number }[] =
    resumes.length === 0 || steps.length === 0
      ? []
      : await transaction.query(
          `SELECT u.asset_id AS "assetId", max(array_position($2::uuid[], u.run_id)) AS position
           FROM jsonb_to_recordset($1::jsonb) AS a ("assetId" uuid, path text)
           JOIN run_step u ON u.run_id = ANY ($2::uuid[]) AND u.asset_id = a."assetId" AND u.step = a.path AND u.phase = 'undo'
           WHERE u.state IN ('succeeded', 'skipped') OR u.resolution->>'as' = 'done'
           GROUP BY u.asset_id`,
          [JSON.stringify(steps.map(({ assetId, path }) => ({ assetId, path }))), resumes],
        );
  const positions = new Map(undone.map(({ assetId, position }) => [assetId, position]));
  // Positions count from 1: that of a run which undid it is the index of the one after it.
  return (assetId) => line[positions.get(assetId) ?? 0] ?? runId;
}
