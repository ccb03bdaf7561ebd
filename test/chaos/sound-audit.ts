import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { ExportReport } from '@fettle/security';
import type { ApiProcess } from '../support/api-process.js';
import type { TestStack } from '../support/stack.js';
import { patiently } from './append-runs.js';

/**
 * Waits until every record is sealed and holds the log against its checkpoints outside the database. Background work (archives of
 * histories) may add records at any moment, so what is unsealed is asked of the same look as the rest.
 */
export async function expectSoundAudit(stack: TestStack, api: ApiProcess): Promise<ExportReport> {
  const file = join(stack.environment.FETTLE_DATA_DIR!, 'audit', 'checkpoints.log');
  const report = await patiently(async () => {
    const rows: unknown[] = await stack.dataSource.query('SELECT 1 FROM audit_unsealed');
    if (rows.length > 0) throw new Error(`${rows.length} records are not sealed`);
    // The file follows the commit.
    await sleep(500);
    const found = await api.verifyAudit(file);
    if (found.unsealedCount > 0) throw new Error(`${found.unsealedCount} records are not sealed`);
    return found;
  });
  expect(report).toMatchObject({ ok: true, findings: [], unsealedCount: 0 });
  return report;
}
