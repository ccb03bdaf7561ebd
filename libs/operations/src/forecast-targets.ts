import type { ForecastRun, RunbookSpec } from '@fettle/contracts';
import {
  countUndetermined,
  listOpenTargets,
  listSelectedAssets,
  TARGET_CONDITION_FIRST_PARAMETER,
  type NamedAsset,
} from '@fettle/database';
import { assetColumnMap, compileSelector } from '@fettle/expression';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { selectorOf } from './run-selector.js';
import {} from './start-run.js';

/** Assets of one selector that are compared with those of others. */
export const MAX_ASSETS_EACH = 5000;
const MAX_NAMES = 5;

export interface SelectedAssets {
  /** Id -> name; the same map for the same selector. */
  readonly assets: ReadonlyMap<string, string>;
  readonly undetermined: number;
  readonly more: boolean;
}

const noAssets: ReadonlyMap<string, string> = new Map();

/** Evaluates selectors now, each once, among the assets that the actor may see. */
export class ForecastTargets {
  readonly #known = new Map<string, SelectedAssets>();

  constructor(
    private readonly context: OperationContext,
    private readonly space: string,
    /** Only this one counts. */
    private readonly asset: string | null,
  ) {}

  /** Null: the runbook acts on no assets. @throws FettleError where the start would be refused for its selectors */
  async of(spec: RunbookSpec, runbook: string, on: string | undefined): Promise<SelectedAssets | null> {
    const selector = selectorOf({ runbook, spec, on });
    if (selector === null) return null;
    const known = this.#known.get(selector.source);
    if (known !== undefined) return known;
    const { transaction } = this.context;
    const condition = assetCondition(
      selector,
      this.context.scopeOf('asset:read', this.space),
      TARGET_CONDITION_FIRST_PARAMETER,
    )!;
    const { space, asset } = this;
    const rows = await listSelectedAssets(transaction, { space, asset, condition, limit: MAX_ASSETS_EACH + 1 });
    const compiled = compileSelector(selector, assetColumnMap, { firstParameter: TARGET_CONDITION_FIRST_PARAMETER });
    const found = {
      assets: mapOf(rows.slice(0, MAX_ASSETS_EACH)),
      // Of all assets: of those that somebody may not see, only their number is told.
      undetermined: asset === null ? await countUndetermined(transaction, space, compiled) : 0,
      more: rows.length > MAX_ASSETS_EACH,
    };
    this.#known.set(selector.source, found);
    return found;
  }

  /** Assets on which an open run has not ended, among those that the actor may see. */
  async ofOpenRun(runId: string): Promise<SelectedAssets> {
    const scope = assetCondition(
      null,
      this.context.scopeOf('asset:read', this.space),
      TARGET_CONDITION_FIRST_PARAMETER,
    );
    const condition = scope ?? { sql: 'true', parameters: [] };
    const rows = await listOpenTargets(this.context.transaction, { runId, condition, limit: MAX_ASSETS_EACH + 1 });
    const wanted = rows.filter(({ name }) => this.asset === null || name === this.asset);
    return { assets: mapOf(wanted.slice(0, MAX_ASSETS_EACH)), undetermined: 0, more: rows.length > MAX_ASSETS_EACH };
  }
}

function mapOf(rows: readonly NamedAsset[]): ReadonlyMap<string, string> {
  return rows.length === 0 ? noAssets : new Map(rows.map(({ id, name }) => [id, name]));
}

export function targetsView(selected: SelectedAssets | null): ForecastRun['targets'] {
  if (selected === null) return null;
  const { assets, undetermined, more } = selected;
  return { count: assets.size, names: [...assets.values()].slice(0, MAX_NAMES), undetermined, more };
}
