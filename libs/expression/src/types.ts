/** What is known of a value before evaluation. `dyn`: nothing; `asset`: the record whose fields are `assetFields`. */
export type StaticType =
  | { readonly kind: 'dyn' | 'null' | 'bool' | 'int' | 'double' | 'string' | 'asset' }
  | { readonly kind: 'list' | 'map'; readonly element: StaticType };

export const dynType: StaticType = { kind: 'dyn' };
export const nullType: StaticType = { kind: 'null' };
export const boolType: StaticType = { kind: 'bool' };
export const intType: StaticType = { kind: 'int' };
export const doubleType: StaticType = { kind: 'double' };
export const stringType: StaticType = { kind: 'string' };
export const listOf = (element: StaticType): StaticType => ({ kind: 'list', element });
export const mapOf = (element: StaticType): StaticType => ({ kind: 'map', element });

/** Fields of `asset` that are text and may be missing. */
export const assetTextFields = ['id', 'name', 'space', 'kind', 'owner', 'site', 'criticality', 'lifecycle'] as const;
export type AssetTextField = (typeof assetTextFields)[number];

/** All fields of `asset` with their types. */
export const assetFields: ReadonlyMap<string, StaticType> = new Map<string, StaticType>([
  ...assetTextFields.map((name) => [name, stringType] as const),
  ['labels', mapOf(stringType)],
  ['facts', mapOf(dynType)],
  ['quarantined', boolType],
]);

export const expressionEnvironments = ['selector', 'target', 'run'] as const;
/**
 * `selector`: `asset`. `run`: `inputs`, `run`, `steps` (of control steps), `item` (of the iterations around), `error` (in a
 * `catch`), `result` (the output of the step itself). `target`: the same, `steps` of targets too, and `asset`.
 */
export type ExpressionEnvironment = (typeof expressionEnvironments)[number];

const assetType: StaticType = { kind: 'asset' };
const documentType = mapOf(dynType);

export const environmentVariables: Readonly<Record<ExpressionEnvironment, ReadonlyMap<string, StaticType>>> = {
  selector: new Map([['asset', assetType]]),
  target: new Map<string, StaticType>([
    ['asset', assetType],
    ['inputs', documentType],
    ['steps', documentType],
    ['run', documentType],
    ['result', dynType],
    ['item', documentType],
    ['error', documentType],
  ]),
  run: new Map<string, StaticType>([
    ['inputs', documentType],
    ['run', documentType],
    ['steps', documentType],
    ['result', dynType],
    ['item', documentType],
    ['error', documentType],
  ]),
};

/** An asset as expressions see it. Absent and null text fields are missing. */
export type AssetView = Readonly<Partial<Record<AssetTextField, string | null | undefined>>> & {
  readonly labels: Readonly<Record<string, string>>;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly quarantined: boolean;
};

/** How a type is called in a message. */
export function describeType(type: StaticType): string {
  return type.kind === 'dyn'
    ? 'any value'
    : type.kind === 'null'
      ? 'null'
      : `${/^[aei]/.test(type.kind) ? 'an' : 'a'} ${type.kind}`;
}

export function isNumeric(type: StaticType): boolean {
  return type.kind === 'int' || type.kind === 'double';
}

/** Whether `==` between the two can ever be anything but unknown. */
export function isComparable(a: StaticType, b: StaticType): boolean {
  if (a.kind === 'dyn' || b.kind === 'dyn') return true;
  if (isNumeric(a) && isNumeric(b)) return true;
  if (a.kind === 'asset' || b.kind === 'asset') return false;
  return a.kind === b.kind;
}

/** The type of a value that is one or the other. */
export function joinTypes(a: StaticType, b: StaticType): StaticType {
  if (a.kind !== b.kind) return dynType;
  if ('element' in a && 'element' in b) return { kind: a.kind, element: joinTypes(a.element, b.element) };
  return a;
}
