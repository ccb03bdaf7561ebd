import { findAttemptMemo, keepAttemptMemo } from '@fettle/database';
import type { MemoContext } from '../implementation.js';
import { withDatabasePatience } from './database-retry.js';
import type { WorkerServices } from './services.js';

/** What one attempt keeps before its effect. */
export function attemptMemo(
  { dataSource }: Pick<WorkerServices, 'dataSource'>,
  runId: string,
  assetId: string,
  token: string,
): MemoContext {
  return {
    recall: () => withDatabasePatience(() => findAttemptMemo(dataSource.manager, token)),
    keep: (value) =>
      withDatabasePatience(() =>
        dataSource.transaction((transaction) => keepAttemptMemo(transaction, { token, runId, assetId }, value)),
      ),
  };
}
