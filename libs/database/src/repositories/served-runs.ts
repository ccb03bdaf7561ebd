import { createHash } from 'node:crypto';
import type { Transaction } from '../data-source.js';

/** Which open runs a worker takes up: those of its own build, or, where it is not versioned, those of engine versions `from` to `to`. */
export type ServedBy = { readonly build: string } | { readonly from: number; readonly to: number };

/** Connections that listen for commands carry it, so that the database sees which workers are there. */
const LISTENER = 'fettle-worker-listen';
/** Postgres cuts names of applications behind so many bytes. */
const MAX_NAME = 63;

/** `fettle-worker-listen 1-1`, `fettle-worker-listen @fettle:1+91084fbf46ee`. */
export function listenerName(served: ServedBy): string {
  if (!('build' in served)) return `${LISTENER} ${served.from}-${served.to}`;
  const name = `${LISTENER} @${served.build}`;
  if (name.length <= MAX_NAME) return name;
  return `${LISTENER} #${createHash('sha256').update(served.build).digest('hex').slice(0, 32)}`;
}

/** Open runs that wait for workers of a version that is not there. */
export interface UnservedRuns {
  /** Of the worker that took them up first. */
  readonly engineVersion: string;
  /** `deployment:build`; null: a worker that is not versioned is wanted. */
  readonly workerBuild: string | null;
  readonly count: number;
}

/** Runs that no worker has taken up yet are not among them: any that gets new runs can. */
export async function listUnservedRuns(transaction: Transaction): Promise<UnservedRuns[]> {
  const runs: UnservedRuns[] = await transaction.query(
    `SELECT engine_version AS "engineVersion", worker_build AS "workerBuild", count(*)::integer AS count FROM run
     WHERE ended_at IS NULL AND engine_version IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2`,
  );
  if (runs.length === 0) return [];
  const rows: { name: string }[] = await transaction.query(
    `SELECT DISTINCT application_name AS name FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE $1`,
    [`${LISTENER} %`],
  );
  const names = rows.map(({ name }) => name);
  const ranges = names.flatMap((name) => {
    const [, from, to] = / (\d+)-(\d+)$/.exec(name) ?? [];
    return from === undefined || to === undefined ? [] : [{ from: Number(from), to: Number(to) }];
  });
  return runs.filter(({ engineVersion, workerBuild }) => {
    if (workerBuild !== null) return !names.includes(listenerName({ build: workerBuild }));
    const version = Number.parseInt(engineVersion, 10);
    return !ranges.some(({ from, to }) => from <= version && version <= to);
  });
}

/** Whether a worker of that build (`deployment:build`) is connected. */
export async function hasWorkersOf(transaction: Transaction, build: string): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 LIMIT 1`,
    [listenerName({ build })],
  );
  return rows.length > 0;
}
