import type { StepState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { NIL_ASSET_ID, NO_EPOCH } from './control-steps.js';

/** What decides which attempts on targets a resumed run knows. */
export interface CarryRules {
  /** Paths, without iterations, of the steps that the new run has, with the same action. */
  readonly paths: readonly string[];
  /** Paths, without iterations, of steps whose failure a target goes on after. */
  readonly passedOn: readonly string[];
  /** Attempts of which nobody knows whether they happened are made again under the tokens that they had. */
  readonly rerunsUnknown: boolean;
}

/** The path of a step without the iterations around it. */
const plainPath = (column: string): string => `regexp_replace(${column}, '^.*\\]/', '')`;

/**
 * Copies what is known of attempts into a resumed run: the last one of each step that ended well, was skipped, or failed where its
 * target went on. An attempt that may run on its host, under its token, is copied as started, so that it is found again.
 */
export async function carrySteps(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  rules: CarryRules,
): Promise<void> {
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, detached, fence, place, state,
       exit_code, error, output, holds, started_at, ended_at, carried_from)
     SELECT $1, s.asset_id, s.step, 'do', 1, ${NO_EPOCH}, s.token, s.effect, s.detached, s.fence, s.place,
       s.now_state, s.exit_code, CASE WHEN s.now_state IN ('started', 'succeeded') THEN NULL ELSE s.error END, s.output, s.holds, s.started_at,
       CASE WHEN s.now_state <> 'started' THEN s.ended_at END, coalesce(s.carried_from, s.run_id)
     FROM (
       SELECT DISTINCT ON (asset_id, step) *,
         CASE WHEN state IN ('succeeded', 'skipped') OR resolution->>'as' = 'done' THEN CASE state WHEN 'skipped' THEN 'skipped' ELSE 'succeeded' END
              WHEN state = 'failed' AND ${plainPath('step')} = ANY ($4) THEN 'failed'
              WHEN state = 'unknown' AND resolution IS NULL AND (detached OR $5) THEN 'started' END AS now_state
       FROM run_step WHERE run_id = $2 AND asset_id <> $3 AND phase = 'do' AND ${plainPath('step')} = ANY ($6)
       ORDER BY asset_id, step, generation DESC) AS s
     JOIN run_target t ON t.run_id = $1 AND t.asset_id = s.asset_id
     WHERE s.now_state IS NOT NULL AND NOT EXISTS (
       SELECT 1 FROM run_step u WHERE u.run_id = $2 AND u.asset_id = s.asset_id AND u.step = s.step AND u.phase = 'undo'
         AND (u.state IN ('succeeded', 'skipped') OR u.resolution->>'as' = 'done'))`,
    [runId, fromRunId, NIL_ASSET_ID, rules.passedOn, rules.rerunsUnknown, rules.paths],
  );
}

/** Steps of a `try` with a `finally`, without iterations. */
export interface ClearedSteps {
  readonly steps: readonly string[];
  /** Those of its `finally`. */
  readonly last: readonly string[];
  /** Those, and of any `finally` inside of it. */
  readonly anyLast: readonly string[];
}

/**
 * Targets that went through a `finally` without having come through what is before it begin anew with the whole of it: something there
 * did not end well, or a cancel stopped them there. Where only a step of the `finally` itself did not, they go on at that one.
 */
export async function dropCleared(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  { steps, last, anyLast }: ClearedSteps,
): Promise<void> {
  const prefix = (column: string): string => `substring(${column} from '^(?:.*\\]/)?')`;
  await transaction.query(
    `DELETE FROM run_step c USING run_target t
     WHERE c.run_id = $1 AND t.run_id = $1 AND t.asset_id = c.asset_id AND t.state = 'pending' AND ${plainPath('c.step')} = ANY ($3)
       AND (EXISTS (SELECT 1 FROM run_step f WHERE f.run_id = $2 AND f.asset_id = c.asset_id AND f.phase = 'do'
         AND ${plainPath('f.step')} = ANY ($4) AND ${prefix('f.step')} = ${prefix('c.step')})
       AND EXISTS (SELECT 1 FROM run_step b WHERE b.run_id = $2 AND b.asset_id = c.asset_id AND b.phase = 'do'
         AND ${plainPath('b.step')} = ANY ($3) AND ${plainPath('b.step')} <> ALL ($4) AND ${prefix('b.step')} = ${prefix('c.step')}
         AND NOT EXISTS (SELECT 1 FROM run_step k WHERE k.run_id = $1 AND k.asset_id = b.asset_id AND k.step = b.step))
       OR EXISTS (SELECT 1 FROM run_target o JOIN run_step f ON f.run_id = $2 AND f.asset_id = o.asset_id AND f.phase = 'do'
           AND ${plainPath('f.step')} = ANY ($5) AND ${prefix('f.step')} = ${prefix('c.step')}
         WHERE o.run_id = $2 AND o.asset_id = c.asset_id AND ${plainPath('o.stopped_at')} = ANY ($3)
           AND ${plainPath('o.stopped_at')} <> ALL ($4) AND ${prefix('o.stopped_at')} = ${prefix('c.step')}))`,
    [runId, fromRunId, steps, last, anyLast],
  );
}

/** Copies attempts of steps of the run itself: those that are known, and those that are made again under their tokens. */
export async function carryControlSteps(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  paths: { readonly known: readonly string[]; readonly again: readonly string[] },
): Promise<void> {
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, error, output, holds,
       started_at, ended_at, carried_from)
     SELECT DISTINCT ON (s.step) $1::uuid, s.asset_id, s.step, 'do', 1, ${NO_EPOCH}, s.token,
       s.effect,
       CASE WHEN s.step = ANY ($5) THEN 'started' WHEN s.resolution->>'as' = 'done' THEN 'succeeded' WHEN s.state = 'unknown' THEN 'failed'
         ELSE s.state END,
       CASE WHEN s.step = ANY ($5) OR s.resolution->>'as' = 'done' THEN NULL ELSE s.error END, s.output, s.holds, s.started_at,
       CASE WHEN s.step = ANY ($5) THEN NULL ELSE s.ended_at END, coalesce(s.carried_from, s.run_id)
     FROM run_step s WHERE s.run_id = $2 AND s.asset_id = $3 AND s.phase = 'do' AND (s.step = ANY ($4) OR s.step = ANY ($5))
     ORDER BY s.step, s.generation DESC`,
    [runId, fromRunId, NIL_ASSET_ID, paths.known, paths.again],
  );
}

/** Attempts that a resumed run has from the one before it, by asset: ended ones, and such as are taken up under their tokens. */
export interface CarriedAttempt {
  readonly assetId: string;
  readonly step: string;
  readonly state: StepState;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  readonly output: Readonly<Record<string, unknown>> | null;
  readonly token: string;
  readonly detached: boolean;
  readonly place: string | null;
}

export async function readCarried(
  transaction: Transaction,
  runId: string,
  attempts: readonly { readonly assetId: string; readonly step: string }[],
): Promise<Map<string, CarriedAttempt>> {
  if (attempts.length === 0) return new Map();
  const rows: CarriedAttempt[] = await transaction.query(
    `SELECT s.asset_id AS "assetId", s.step, s.state, s.exit_code AS "exitCode", s.error, s.output, s.token, s.detached, s.place
     FROM jsonb_to_recordset($2::jsonb) AS a ("assetId" uuid, step text)
     JOIN run_step s ON s.run_id = $1 AND s.asset_id = a."assetId" AND s.step = a.step AND s.phase = 'do' AND s.generation = 1
     WHERE s.carried_from IS NOT NULL`,
    [runId, JSON.stringify(attempts.map(({ assetId, step }) => ({ assetId, step })))],
  );
  return new Map(rows.map((row) => [row.assetId, row]));
}
