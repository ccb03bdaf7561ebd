import {
  baselineRules,
  durationMs,
  FettleError,
  InvalidDocumentError,
  notFoundError,
  patchBaselineDocumentSchema,
  unselectedBaseline,
  type DecidingBaseline,
  type PatchBaselineSpec,
  type PatchRules,
} from '@fettle/contracts';
import {
  firstConditionOf,
  listBaselineVersions,
  readParsedVersions,
  type BaselineVersion,
  type DocumentKey,
  type Transaction,
} from '@fettle/database';
import { assetColumnMap, compileSelector, parseSelector, type Selector } from '@fettle/expression';
import type { CheckedDocument } from './check-documents.js';

/** What decides which updates an asset is to have. */
export interface AssetBaseline {
  /** Null: no baseline selects the asset. */
  readonly baseline: DecidingBaseline | null;
  readonly rules: PatchRules;
  readonly scanMaxAgeMs: number;
}

interface HeldBaseline extends AssetBaseline {
  readonly baseline: DecidingBaseline;
  readonly spec: PatchBaselineSpec;
  /** Null: it holds only where it is named. */
  readonly selector: Selector | null;
}

/** What holds where no baseline selects the asset. */
export const unselected: AssetBaseline = {
  baseline: null,
  rules: { updates: unselectedBaseline.updates, versions: [], approved: [], rejected: [], delayMs: 0 },
  scanMaxAgeMs: unselectedBaseline.scanMaxAgeMs,
};

/** Baselines that a process remembers by their version, which never changes. */
const MAX_PARSED = 500;
const parsed = new Map<string, HeldBaseline>();

async function readBaselines(transaction: Transaction, space: string): Promise<readonly HeldBaseline[]> {
  const versions = await listBaselineVersions(transaction, space);
  // Before anybody counts on what is remembered.
  if (parsed.size >= MAX_PARSED) parsed.clear();
  const unknown = versions.filter(({ versionId }) => !parsed.has(versionId)).map(({ versionId }) => versionId);
  const documents = unknown.length === 0 ? null : await readParsedVersions(transaction, unknown);
  return versions.map((version) => {
    const known = parsed.get(version.versionId);
    if (known !== undefined) return known;
    const held = heldBaseline(version, documents?.get(version.versionId));
    parsed.set(version.versionId, held);
    return held;
  });
}

/** One that another version of Fettle wrote is not passed over: the next one would install what this one keeps back. */
function heldBaseline({ name, digest, number }: BaselineVersion, document: unknown): HeldBaseline {
  const result = patchBaselineDocumentSchema.safeParse(document);
  if (!result.success) {
    throw new FettleError({
      code: 'baseline-unreadable',
      message: `The patch baseline "${name}" (version ${number}) cannot be read by this version of Fettle.`,
      remedy: 'Apply it anew, or upgrade the worker.',
      detail: { mayHaveStarted: false },
    });
  }
  const { spec } = result.data;
  return {
    baseline: { name, version: digest, number },
    spec,
    selector: spec.assets === undefined ? null : parseSelector(spec.assets, { origin: 'spec.assets' }),
    rules: baselineRules(spec),
    scanMaxAgeMs: durationMs(spec.scanMaxAge),
  };
}

/** @throws FettleError `not-found` */
export async function findBaseline(transaction: Transaction, space: string, name: string): Promise<AssetBaseline> {
  const found = (await readBaselines(transaction, space)).find(({ baseline }) => baseline.name === name);
  if (found !== undefined) return found;
  const remedy = 'See `fettle document list --kind PatchBaseline`.';
  throw notFoundError('PatchBaseline', name, { space, remedy });
}

/** The baseline by which each of the assets goes: of those that select it, the one with the highest priority. */
export async function baselinesOf(
  transaction: Transaction,
  space: string,
  assetIds: readonly string[],
): Promise<(assetId: string) => AssetBaseline> {
  const selecting = (await readBaselines(transaction, space))
    .filter(({ selector }) => selector !== null)
    .sort((one, other) => (other.spec.priority ?? 0) - (one.spec.priority ?? 0));
  const found = await firstConditionOf(transaction, assetIds, (firstParameter) => {
    const [sql, parameters]: [string[], unknown[]] = [[], []];
    for (const { selector } of selecting) {
      if (selector === null) continue;
      const { where } = compileSelector(selector, assetColumnMap, {
        firstParameter: firstParameter + parameters.length,
      });
      sql.push(where.sql);
      parameters.push(...where.parameters);
    }
    return { sql, parameters };
  });
  return (assetId) => selecting[found.get(assetId) ?? -1] ?? unselected;
}

/** A document among those that are applied together. */
interface Together {
  readonly key: DocumentKey;
  readonly checked: CheckedDocument;
}

/**
 * Of baselines that select assets no two have the same priority, whatever they select today: labels change, and nobody would be there
 * to be told.
 * @throws InvalidDocumentError at the priority
 */
export async function checkBaselinePriority(
  transaction: Transaction,
  { file, places, document }: CheckedDocument,
  all: readonly Together[],
): Promise<void> {
  if (document.kind !== 'PatchBaseline' || document.spec.priority === undefined) return;
  const { priority } = document.spec;
  const { space, name } = document.metadata;
  const applied = all.flatMap(({ key, checked }) =>
    key.space === space && checked.document.kind === 'PatchBaseline' ? [checked.document] : [],
  );
  const isApplied = new Set(applied.map(({ metadata }) => metadata.name));
  const stored = (await readBaselines(transaction, space)).filter(({ baseline }) => !isApplied.has(baseline.name));
  const others = [
    ...applied.map(({ metadata, spec }) => ({ name: metadata.name, spec })),
    ...stored.map(({ baseline, spec }) => ({ name: baseline.name, spec })),
  ];
  const same = others.find((one) => one.name !== name && one.spec.priority === priority);
  if (same === undefined) return;
  const path = ['spec', 'priority'];
  const message = `the baseline ${same.name} of the space ${space} has the priority ${priority} as well: for an asset that both select, neither would hold before the other`;
  throw new InvalidDocumentError(file, [
    { code: 'same-priority', severity: 'error', message, path: 'spec.priority', ...places.valueAt(path) },
  ]);
}
