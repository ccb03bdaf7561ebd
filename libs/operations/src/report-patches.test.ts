import { describe, expect, it } from '@jest/globals';
import { patchReportQuerySchema } from '@fettle/contracts';
import type { Transaction } from '@fettle/database';
import type { OperationContext } from './context.js';
import { reportPatches } from './report-patches.js';

const ASSETS = 120;
const idOf = (index: number): string => `00000000-0000-7000-8000-${String(index).padStart(12, '0')}`;
const names = ['a', 'b', 'c'];

/** Answers what the report asks, and counts it by what it asks about. */
function estate(permissions: { readonly documents: boolean }) {
  const asked: Record<string, number> = {};
  const answers: Readonly<Record<string, (parameters: readonly unknown[]) => unknown[]>> = {
    patch_version: () =>
      names.map((name) => {
        // Some time more than the days, which are counted from when the report was begun.
        const seenAt = new Date(Date.now() - 5.5 * 86_400_000);
        const version = { version: '2', isSecurity: true, severity: null, seenAt };
        return { manager: 'apt', name, architecture: 'all', ...version };
      }),
    'FROM patch_scan': ([ids]) =>
      (ids as string[]).map((assetId) => ({
        assetId,
        manager: 'apt',
        scannedAt: new Date(),
        packages: names.map((name) => ({ name, architecture: 'all', version: '1', state: 'installed', isHeld: false })),
        offers: names.map((name) => ({
          ...{ name, architecture: 'all', installed: '1', isHeld: false },
          newer: [{ version: '2', isSecurity: true, severity: null }],
        })),
        ...{ isInterrupted: false, reboot: 'not-needed', rebootReasons: [], installs: null },
        ...{ hasSecuritySource: true, listsReadAt: new Date(), bootedAt: null },
      })),
    "'PatchBaseline'": () => [],
    'FROM asset a': () =>
      Array.from({ length: ASSETS }, (_, index) => ({ id: idOf(index), name: `host-${index}`, labels: {} })),
  };
  const query = (sql: string, parameters: readonly unknown[]): Promise<unknown[]> => {
    const [about, answer] = Object.entries(answers).find(([part]) => sql.includes(part)) ?? [];
    if (about === undefined || answer === undefined) throw new Error(`nobody asks ${sql}`);
    asked[about] = (asked[about] ?? 0) + 1;
    return Promise.resolve(answer(parameters));
  };
  const context: OperationContext = {
    transaction: { query } as unknown as Transaction,
    actor: { principalId: null, name: 'ada', kind: 'person', requestId: 'test' },
    scopeOf: (permission) => (permission === 'document:read' && !permissions.documents ? [] : null),
  };
  return { asked, context };
}

const query = (more: object = {}) => patchReportQuerySchema.parse({ limit: 1000, ...more });

describe('the report of patches', () => {
  it('asks the ledger once for a page, and for the baselines as well', async () => {
    const { asked, context } = estate({ documents: true });
    const { items } = await reportPatches(context, query());
    expect(items).toHaveLength(ASSETS);
    expect(new Set(items.map(({ exposedDays }) => exposedDays))).toEqual(new Set([5]));
    // Packages are many: of some assets at a time.
    expect(asked).toEqual({ 'FROM asset a': 1, "'PatchBaseline'": 1, patch_version: 1, 'FROM patch_scan': 3 });
  });

  it('goes by a baseline that is named for those only who may read documents in its space', async () => {
    const { asked, context } = estate({ documents: false });
    await expect(reportPatches(context, query({ baseline: 'web' }))).rejects.toMatchObject({
      code: 'denied',
      detail: { permission: 'document:read', space: 'default' },
    });
    // Whether there is one of that name is not looked up for him.
    expect(asked["'PatchBaseline'"]).toBeUndefined();
    await expect(reportPatches(estate({ documents: true }).context, query({ baseline: 'web' }))).rejects.toMatchObject({
      code: 'not-found',
    });
    expect((await reportPatches(context, query())).items).toHaveLength(ASSETS);
  });
});
