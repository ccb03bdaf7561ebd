import type { AssetTextField } from './types.js';

/** Where a selector finds an asset's fields. All values are SQL of our own, never a person's text. */
export interface SelectorColumns {
  /** The key as uuid; lets `asset.id == "..."` use the primary key. */
  readonly id: string;
  /** Expressions of type text; NULL is a missing field. */
  readonly text: Readonly<Record<AssetTextField, string>>;
  /** A jsonb object of strings, never NULL. */
  readonly labels: string;
  /** A boolean, never NULL. */
  readonly quarantined: string;
  /** One row for each top-level fact: (asset uuid, name text, value jsonb), unique by asset and name. */
  readonly facts: { readonly table: string; readonly assetId: string; readonly name: string; readonly value: string };
}

/** The columns of table `asset` under an alias, with facts in `asset_fact`. The alias must be an identifier of our own. */
export function assetColumns(alias: string): SelectorColumns {
  return {
    id: `${alias}.id`,
    text: {
      id: `${alias}.id::text`,
      name: `${alias}.name`,
      space: `${alias}.space`,
      kind: `${alias}.kind`,
      owner: `${alias}.owner`,
      site: `${alias}.site`,
      criticality: `${alias}.criticality`,
      lifecycle: `${alias}.lifecycle`,
    },
    labels: `${alias}.labels`,
    quarantined: `(${alias}.quarantined_at IS NOT NULL)`,
    facts: { table: 'asset_fact', assetId: 'asset_id', name: 'name', value: 'value' },
  };
}

/** `assetColumns('a')`. */
export const assetColumnMap: SelectorColumns = assetColumns('a');
