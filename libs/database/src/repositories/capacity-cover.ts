import { nestedSteps, type RunbookDocument, type Step } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

/** More runs than this do not call each other. */
const MAX_DEPTH = 50;

interface Level {
  readonly id: string;
  /** Where the run below this one is called; of the run itself null. */
  readonly calls: string | null;
  readonly parsed: unknown;
}

/**
 * Units of the keys that are held around a step: by the whole run, by steps that it stands in, and so on up where the run was
 * called. What a step beside it holds does not count: two branches that want the same take turns.
 */
export async function readCovered(
  transaction: Transaction,
  { runId, path }: { readonly runId: string; readonly path: string },
  keys: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const levels: Level[] = await transaction.query(
    `WITH RECURSIVE line (id, calls, depth) AS (
       SELECT $1::uuid, NULL::text, 0
       UNION ALL SELECT r.parent_run_id, r.parent_path, line.depth + 1 FROM run r JOIN line ON line.id = r.id
         WHERE r.parent_run_id IS NOT NULL AND line.depth < ${MAX_DEPTH})
     SELECT line.id, line.calls, v.parsed FROM line JOIN run r ON r.id = line.id JOIN document_version v ON v.id = r.version_id
     WHERE EXISTS (SELECT 1 FROM capacity_request q WHERE q.run_id = line.id AND q.granted_at IS NOT NULL)`,
    [runId],
  );
  if (levels.length === 0) return new Map();
  const places = levels.flatMap(({ id, calls, parsed }) => {
    const own = calls ?? path;
    // The whole run asks before anything of it is held.
    const paths = own === '' ? [] : ['', ...enclosingPaths(parsed as RunbookDocument, own)];
    return [...paths, ...(calls === null ? [] : [calls])].map((one) => ({ run_id: id, path: one }));
  });
  const rows: { key: string; units: number }[] = await transaction.query(
    `SELECT w.key, sum(w.units) AS units FROM jsonb_to_recordset($1::jsonb) AS a (run_id uuid, path text)
       JOIN capacity_want w ON w.run_id = a.run_id AND w.path = a.path AND w.key = ANY ($2)
       JOIN capacity_request q ON q.run_id = w.run_id AND q.path = w.path AND q.granted_at IS NOT NULL
     GROUP BY w.key`,
    [JSON.stringify(places), keys],
  );
  return new Map(rows.map((row) => [row.key, Number(row.units)]));
}

/**
 * Paths that the steps around a step may have: each of their ids, after each beginning of its own path. An id is in a runbook once,
 * so that at most one path of an id is that of a step.
 */
export function enclosingPaths({ spec }: Pick<RunbookDocument, 'spec'>, path: string): string[] {
  const parts = path.split('/');
  const id = parts.at(-1) ?? '';
  const lists = [spec.steps, ...Object.values(spec.handlers ?? {})];
  const around = lists.flatMap((steps) => stepsAround(steps, id) ?? []);
  return around.flatMap((step) => parts.map((_, length) => [...parts.slice(0, length), step.id].join('/')));
}

/** Steps that the one of that id stands in, the outermost first; null: it is not in this list. */
function stepsAround(steps: readonly Step[], id: string): Step[] | null {
  for (const step of steps) {
    if (step.id === id) return [];
    for (const list of nestedSteps(step)) {
      const inner = stepsAround(list.steps, id);
      if (inner !== null) return [step, ...inner];
    }
  }
  return null;
}
