import type { TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { NIL_ASSET_ID } from './control-steps.js';

/**
 * Paths of steps that were begun on targets, and that a target which a resumed run goes on with has not behind it: it failed there,
 * never came there, or what it did was undone. `states`: ends of the targets that are meant; `passedOn`: paths, without iterations,
 * of steps whose failure a target goes on after.
 */
export async function listLackingSteps(
  transaction: Transaction,
  runId: string,
  { states, passedOn }: { readonly states: readonly TargetState[]; readonly passedOn: readonly string[] },
): Promise<string[]> {
  const rows: { step: string }[] = await transaction.query(
    `WITH undone AS (
       SELECT asset_id, step FROM run_step WHERE run_id = $1 AND phase = 'undo'
         AND (state IN ('succeeded', 'skipped') OR resolution->>'as' = 'done')),
     going AS (
       SELECT asset_id FROM run_target t WHERE run_id = $1 AND (
         (state = ANY ($2) AND NOT (state = 'succeeded' OR (state = 'skipped' AND started_at IS NOT NULL)))
         OR ('pending' = ANY ($2) AND EXISTS (SELECT 1 FROM undone u WHERE u.asset_id = t.asset_id)))),
     last AS (
       SELECT DISTINCT ON (asset_id, step) asset_id, step, state IN ('succeeded', 'skipped') OR coalesce(resolution->>'as' = 'done', false)
         OR (state = 'failed' AND regexp_replace(step, '^.*\\]/', '') = ANY ($3)) AS is_behind
       FROM run_step WHERE run_id = $1 AND asset_id <> $4 AND phase = 'do' ORDER BY asset_id, step, generation DESC)
     SELECT last.step FROM last
       LEFT JOIN going ON going.asset_id = last.asset_id
       LEFT JOIN undone ON undone.asset_id = last.asset_id AND undone.step = last.step
     GROUP BY last.step
     HAVING count(*) FILTER (WHERE going.asset_id IS NOT NULL AND last.is_behind AND undone.step IS NULL) < (SELECT count(*) FROM going)`,
    [runId, states, passedOn, NIL_ASSET_ID],
  );
  return rows.map(({ step }) => step);
}
