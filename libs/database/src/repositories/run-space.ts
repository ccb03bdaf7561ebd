import type { Transaction } from '../data-source.js';

/** The space of a run, which decides who may see it; null: there is no such run. */
export async function findRunSpace(transaction: Transaction, runId: string): Promise<string | null> {
  const rows: { space: string }[] = await transaction.query(`SELECT space FROM run WHERE id = $1`, [runId]);
  return rows[0]?.space ?? null;
}

export async function listSpaces(transaction: Transaction): Promise<string[]> {
  const rows = await transaction.query<{ name: string }[]>(`SELECT name FROM space ORDER BY name`);
  return rows.map((row) => row.name);
}
