import { FettleError } from '@fettle/contracts';
import { parseSelector } from '@fettle/expression';
import { isRecord, type JsonPath } from '../json.js';

/** Selector over assets: the input's value is the name of one of those it selects when the run starts. */
export const QUERY_KEYWORD = 'x-fettle-query';
/** `true`: the input's value is the name of a credential, never a secret itself. */
export const SECRET_KEYWORD = 'x-fettle-secret';

/** One input as its schema declares it, for forms, completion and the checks that need the database. */
export interface DeclaredInput {
  readonly name: string;
  readonly isRequired: boolean;
  /** Several values: the schema allows a list. */
  readonly isList: boolean;
  readonly types: readonly string[];
  readonly isSecret: boolean;
  /** Selector over assets; null: the values come from no query. */
  readonly query: string | null;
  /** Values that `enum` or `const` (of the items, for a list) allow; null: it does not say. */
  readonly allowed: readonly unknown[] | null;
  /** Absent where there is none: null is a default, too. */
  readonly default?: unknown;
  readonly description: string | null;
}

/** The inputs that a valid schema declares under `properties`, in its order. */
export function declaredInputs(schema: Readonly<Record<string, unknown>>): readonly DeclaredInput[] {
  const properties = isRecord(schema['properties']) ? schema['properties'] : {};
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  return Object.entries(properties).map(([name, property]): DeclaredInput => {
    const own = isRecord(property) ? property : {};
    const types = typesOf(own);
    const isList = types.includes('array');
    const one = isList && isRecord(own['items']) ? own['items'] : own;
    const query = one[QUERY_KEYWORD];
    const text = own['description'] ?? own['title'];
    return {
      name,
      isRequired: required.includes(name),
      isList,
      types,
      isSecret: own[SECRET_KEYWORD] === true,
      query: typeof query === 'string' ? query : null,
      allowed: allowedValues(one),
      ...(Object.hasOwn(own, 'default') ? { default: own['default'] } : {}),
      description: typeof text === 'string' ? text : null,
    };
  });
}

function typesOf(schema: Readonly<Record<string, unknown>>): readonly string[] {
  const type = schema['type'];
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  return types.filter((one): one is string => typeof one === 'string');
}

function allowedValues(schema: Readonly<Record<string, unknown>>): readonly unknown[] | null {
  if (Array.isArray(schema['enum'])) return schema['enum'] as unknown[];
  return Object.hasOwn(schema, 'const') ? [schema['const']] : null;
}

/** What is wrong with one of Fettle's own keywords; null: nothing. `path` is that of the schema which holds it. */
export function ownKeywordProblem(
  keyword: typeof QUERY_KEYWORD | typeof SECRET_KEYWORD,
  schema: Readonly<Record<string, unknown>>,
  path: JsonPath,
): string | null {
  const isInput = path.length === 2 && path[0] === 'properties';
  const isItem = path.length === 3 && path[0] === 'properties' && path[2] === 'items';
  if (keyword === SECRET_KEYWORD) {
    if (schema[keyword] !== true) return `"${keyword}" is true, or is left out`;
    if (!isInput) return `"${keyword}" stands at an input itself: properties.<name>`;
    if (QUERY_KEYWORD in schema) return `an input names an asset (${QUERY_KEYWORD}) or a credential (${keyword})`;
    return schema['type'] === 'string' ? null : 'a secret input has "type: string": its value is a credential\'s name';
  }
  const source = schema[keyword];
  if (typeof source !== 'string') return `"${keyword}" is a selector over assets, as text`;
  if (!isInput && !isItem) return `"${keyword}" stands at an input, or at the items of a list: properties.<name>.items`;
  if (schema['type'] !== 'string') return `with "${keyword}" say "type: string": its values are names of assets`;
  return selectorProblem(source);
}

function selectorProblem(source: string): string | null {
  try {
    parseSelector(source);
    return null;
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return `"${QUERY_KEYWORD}": ${error.message}`;
  }
}
