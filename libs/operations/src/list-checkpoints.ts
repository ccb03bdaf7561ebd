import type { AuditCheckpoint, Page, PageQuery } from '@fettle/contracts';
import { listCheckpoints as listCheckpointRows, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';

/** Signed checkpoints by size. Truncation shows only against copies that were kept outside the database. */
export async function listCheckpoints(
  transaction: Transaction,
  query: Pick<PageQuery, 'after' | 'limit'>,
): Promise<Page<AuditCheckpoint>> {
  const after = decodeCursor(query.after, ['number']);
  const rows = await listCheckpointRows(transaction, { after: after?.[0] ?? -1, limit: query.limit + 1 });
  const toItem = (row: (typeof rows)[number]): AuditCheckpoint => ({ ...row, at: row.at.toISOString() });
  return pageFrom(rows, query.limit, toItem, (row) => [row.size]);
}
