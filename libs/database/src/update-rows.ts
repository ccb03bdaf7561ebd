import type { Transaction } from './data-source.js';

/** Rows that an UPDATE or DELETE with RETURNING gives: TypeORM answers those with rows and their number. */
export async function updateRows<Row>(transaction: Transaction, sql: string, parameters: unknown[]): Promise<Row[]> {
  const [rows] = await transaction.query<[Row[], number]>(sql, parameters);
  return rows;
}
