import { describe, expect, it } from '@jest/globals';
import type { Transaction } from '@fettle/database';
import { findBaseline } from './patch-baselines.js';

interface Row {
  readonly versionId: string;
  readonly name: string;
}

/** A space with baselines, as the two queries give them. */
function holding(rows: readonly Row[]): Transaction {
  const query = (sql: string, [of]: readonly unknown[]): Promise<unknown[]> =>
    Promise.resolve(
      sql.includes('parsed')
        ? (of as string[]).map((id) => ({ id, versionId: id, parsed: documentOf(id), document: documentOf(id) }))
        : rows.map((row) => ({ ...row, digest: `sha256:${row.versionId}`, number: 1 })),
    );
  return { query } as unknown as Transaction;
}

const documentOf = (name: string): unknown => ({
  apiVersion: 'fettle/v1',
  kind: 'PatchBaseline',
  metadata: { name },
  spec: { updates: 'all' },
});
const rows = (prefix: string, count: number): Row[] =>
  Array.from({ length: count }, (_, index) => ({
    versionId: `${prefix}-${index}`,
    name: `${prefix}-${index}`,
  }));

describe('the baselines that a process remembers', () => {
  it('are all there in one answer, however many there were before', async () => {
    const first = rows('first', 499);
    await findBaseline(holding(first), 'default', 'first-0');
    // The new ones come before those that are remembered: what makes room for them must not take these.
    const all = [...rows('new', 2), ...first];
    const found = await findBaseline(holding(all), 'default', 'first-498');
    expect(found.baseline).toMatchObject({ name: 'first-498' });
    expect((await findBaseline(holding(all), 'default', 'new-1')).rules.updates).toBe('all');
  });
});
