import { parse } from 'yaml';
import { UsageError } from '../../session/errors.js';

/** One `--input`: `name=text`, or `name:=JSON`. */
export interface InputArgument {
  readonly name: string;
  readonly text: string;
  readonly isJson: boolean;
}

/** @throws UsageError for what is neither */
export function parseInputArguments(values: readonly string[]): InputArgument[] {
  return values.map((value) => {
    const at = value.indexOf('=');
    const isJson = at > 0 && value[at - 1] === ':';
    const name = value.slice(0, isJson ? at - 1 : Math.max(at, 0));
    if (name === '') throw new UsageError(`--input must be name=value or name:=JSON, not "${value.slice(0, 80)}"`);
    return { name, text: value.slice(at + 1), isJson };
  });
}

/** Whether the runbook must be asked what it takes: `name:=JSON`, given once, says it all. */
export function needsSchema(values: readonly InputArgument[]): boolean {
  return values.some(({ isJson }) => !isJson) || new Set(values.map(({ name }) => name)).size < values.length;
}

/**
 * The values as the runbook wants them: `name=value` is text, unless the schema of that input allows no text and the value is
 * JSON of a type it allows; `name:=JSON` is JSON. An input that takes a list collects what is given for it, one or several
 * times; a secret input takes the name of a credential, also as `@name`.
 * @throws UsageError for `name:=` without JSON, and for a single value that is given twice
 */
export function typedInputs(values: readonly InputArgument[], schema: unknown): Record<string, unknown> {
  const byName = new Map<string, InputArgument[]>();
  for (const value of values) byName.set(value.name, [...(byName.get(value.name) ?? []), value]);
  // fromEntries makes own members of all names, `__proto__` too; the API refuses that one with a message.
  return Object.fromEntries([...byName].map(([name, given]) => [name, typedInput(name, given, schema)]));
}

function typedInput(name: string, given: readonly InputArgument[], schema: unknown): unknown {
  const property = member(member(schema, 'properties'), name);
  const isList = typesOf(property).includes('array');
  const [first] = given;
  if (given.length === 1 && first !== undefined) {
    const value = typedValue(first, property);
    const isText = !first.isJson && typeof value === 'string' && !typesOf(property).includes('string');
    return isList && isText ? [typedValue(first, member(property, 'items'))] : value;
  }
  if (!isList) throw new UsageError(`--input ${name} is given ${given.length} times, but it takes one value`);
  return given.flatMap((one) => {
    const value = typedValue(one, member(property, 'items'));
    // `hosts:=["a","b"]` beside `hosts=c` adds its items.
    return one.isJson && Array.isArray(value) ? (value as unknown[]) : [value];
  });
}

function typedValue({ name, text, isJson }: InputArgument, schema: unknown): unknown {
  if (isJson) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new UsageError(`--input ${name}:= must be followed by JSON, not "${text.slice(0, 80)}"`);
    }
  }
  if (member(schema, 'x-fettle-secret') === true) return text.replace(/^@/, '');
  const types = typesOf(schema);
  const value = parsedJson(text);
  if (types.length === 0 || types.includes('string') || typeof value === 'string') return text;
  return types.some((type) => isOfType(value, type)) ? value : text;
}

/** Text that is no JSON, or JSON text, stands for itself. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function typesOf(schema: unknown): string[] {
  const type = member(schema, 'type');
  if (typeof type === 'string') return [type];
  return Array.isArray(type) ? type.filter((one): one is string => typeof one === 'string') : [];
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'number':
      return typeof value === 'number';
    case 'integer':
      return Number.isInteger(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'null':
      return value === null;
    default:
      return false;
  }
}

/** Inputs from a YAML or JSON file. @throws UsageError where it holds no object */
export function inputsFromText(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw new UsageError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new UsageError(`${file} must hold an object of inputs`);
}
