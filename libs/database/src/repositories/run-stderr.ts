import type { Transaction } from '../data-source.js';

/** An attempt of a step on a target; its log stands with the run that made it. */
export interface LoggedAttempt {
  readonly runId: string;
  readonly assetId: string;
  readonly step: string;
  readonly generation: number;
}

/** Chunks that are looked at: a stream ends in small ones where a host writes line by line. */
const MAX_CHUNKS = 8;

/** The last characters of what is in the log of each attempt from stderr, by asset; none: not there. An asset has one attempt here. */
export async function readStderrEnds(
  transaction: Transaction,
  attempts: readonly LoggedAttempt[],
  maxCharacters: number,
): Promise<ReadonlyMap<string, string>> {
  if (attempts.length === 0) return new Map();
  const wanted = attempts.map(({ runId, assetId, step, generation }) => ({
    run_id: runId,
    asset_id: assetId,
    step,
    generation,
  }));
  const rows: { assetId: string; text: string }[] = await transaction.query(
    `SELECT a.asset_id AS "assetId", right(string_agg(right(l.body, $2), '' ORDER BY l.seq), $2) AS text
     FROM jsonb_to_recordset($1::jsonb) AS a (run_id uuid, asset_id uuid, step text, generation integer)
     CROSS JOIN LATERAL (
       SELECT c.seq, c.body FROM run_log c
       WHERE c.run_id = a.run_id AND c.asset_id = a.asset_id AND c.step = a.step AND c.generation = a.generation AND c.stream = 'stderr'
       ORDER BY c.seq DESC LIMIT ${MAX_CHUNKS}) l
     GROUP BY a.asset_id`,
    [JSON.stringify(wanted), maxCharacters],
  );
  return new Map(rows.map(({ assetId, text }) => [assetId, text]));
}
