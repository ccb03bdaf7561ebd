import type { Finding } from '@fettle/contracts';
import { z } from 'zod';
import { isRecord, type JsonPath, type JsonValue } from '../json.js';
import { closestName } from './closest-name.js';
import { finding } from './findings.js';
import type { DocumentPlaces } from './document-places.js';

type Issue = z.core.$ZodIssue;

interface Context {
  readonly schema: z.core.$ZodType;
  readonly value: JsonValue;
  readonly places: DocumentPlaces;
  /** Where the schema's root stands in the document, e.g. `spec.steps[0].with` for an action's input. */
  readonly base: JsonPath;
}

/**
 * Zod's issues as findings with places, offending texts and suggestions. `base` is the path in the document of the value that
 * the schema was applied to; `value` is that value.
 */
export function shapeFindings(
  schema: z.core.$ZodType,
  issues: readonly Issue[],
  value: JsonValue,
  places: DocumentPlaces,
  base: JsonPath = [],
): readonly Finding[] {
  const context: Context = { schema, value, places, base };
  return issues.flatMap((issue) => issueFindings(issue, pathOf(issue), context));
}

function pathOf(issue: Issue): JsonPath {
  return issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
}

function issueFindings(issue: Issue, path: JsonPath, context: Context): readonly Finding[] {
  const full = [...context.base, ...path];
  const place = { path: full, ...context.places.valueAt(full) };
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownField(key, path, context));
    case 'invalid_type': {
      const found = valueAt(context.value, path);
      if (found === undefined) return [missingField(path, context)];
      return [
        finding(
          'wrong-type',
          `${nameOf(full)} must be ${describeExpected(issue.expected)}, not ${describeFound(found)}`,
          place,
        ),
      ];
    }
    case 'invalid_value': {
      if (valueAt(context.value, path) === undefined) return [missingField(path, context)];
      const known = issue.values.map(String);
      const options = known.map((name) => `"${name}"`).join(', ');
      const message = `${nameOf(full)} must be ${known.length === 1 ? options : `one of ${options}`}`;
      const found = valueAt(context.value, path);
      const suggestion = typeof found === 'string' ? (closestName(found, known) ?? onlyOne(known)) : onlyOne(known);
      return [finding('invalid-value', message, { ...place, suggestion })];
    }
    case 'invalid_key': {
      const reason = issue.issues[0]?.message ?? 'is not allowed';
      return [finding('invalid-value', `the key ${reason}`, { path: full, ...context.places.keyAt(full) })];
    }
    case 'invalid_union':
      return unionFindings(issue.errors, path, context);
    case 'too_small':
    case 'too_big':
      return [finding('invalid-value', `${nameOf(full)} ${describeSize(issue)}`, place)];
    default: {
      const message = issue.message.startsWith('must ')
        ? `${nameOf(full)} ${issue.message}`
        : `${nameOf(full)}: ${issue.message}`;
      return [finding('invalid-value', message, place)];
    }
  }
}

function onlyOne(known: readonly string[]): string | undefined {
  return known.length === 1 ? known[0] : undefined;
}

function unknownField(key: string, path: JsonPath, context: Context): Finding {
  const full = [...context.base, ...path, key];
  const known = fieldNames(schemaAt(context.schema, path));
  const given = valueAt(context.value, path);
  const unused = known.filter((name) => !isRecord(given) || !Object.hasOwn(given, name));
  const owner = context.base.length + path.length === 0 ? 'a document' : nameOf([...context.base, ...path]);
  const list = known.length === 0 || known.length > 20 ? '' : `; known fields are ${known.join(', ')}`;
  return finding('unknown-field', `${owner} has no field "${key.slice(0, 60)}"${list}`, {
    path: full,
    ...context.places.keyAt(full),
    suggestion: closestName(key, unused),
  });
}

function missingField(path: JsonPath, context: Context): Finding {
  const full = [...context.base, ...path];
  const parent = full.slice(0, -1);
  // The key of what lacks the field is the best place to look at; a whole document has none.
  const { position } = parent.length === 0 ? context.places.valueAt(parent) : context.places.keyAt(parent);
  return finding('missing-field', `the field "${String(full.at(-1))}" is missing`, { path: full, position });
}

/** Of a choice between shapes, the one whose type fits says what is wrong; if none fits, all expected types are named. */
function unionFindings(branches: readonly (readonly Issue[])[], path: JsonPath, context: Context): readonly Finding[] {
  const fitting = branches.find(
    (issues) => !issues.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0),
  );
  if (fitting !== undefined)
    return fitting.flatMap((issue) => issueFindings(issue, [...path, ...pathOf(issue)], context));
  const full = [...context.base, ...path];
  const found = valueAt(context.value, path);
  if (found === undefined) return [missingField(path, context)];
  const expected = branches
    .flat()
    .flatMap((issue) => (issue.code === 'invalid_type' ? [describeExpected(issue.expected)] : []));
  const message = `${nameOf(full)} must be ${[...new Set(expected)].join(' or ')}, not ${describeFound(found)}`;
  return [finding('wrong-type', message, { path: full, ...context.places.valueAt(full) })];
}

function describeExpected(expected: string): string {
  const names: Readonly<Record<string, string>> = {
    string: 'text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    tuple: 'a list',
    object: 'an object',
    record: 'an object',
    null: 'null',
  };
  return names[expected] ?? expected;
}

function describeFound(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return 'text';
  return JSON.stringify(value);
}

function describeSize(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const isLow = issue.code === 'too_small';
  const limit = String(isLow ? issue.minimum : issue.maximum);
  const bound = isLow
    ? issue.inclusive === false
      ? 'more than'
      : 'at least'
    : issue.inclusive === false
      ? 'less than'
      : 'at most';
  const units: Readonly<Record<string, string>> = { string: 'character', array: 'item', set: 'item', map: 'member' };
  const unit = units[issue.origin];
  if (unit === undefined) return `must be ${bound} ${limit}`;
  return `must have ${bound} ${limit} ${unit}${limit === '1' ? '' : 's'}`;
}

/** How a field is called in a message: by its last name, with the list's name for an item. */
function nameOf(path: JsonPath): string {
  const last = path.at(-1);
  if (last === undefined) return 'the document';
  if (typeof last === 'string') return `"${last.slice(0, 60)}"`;
  return `item ${last + 1} of ${nameOf(path.slice(0, -1))}`;
}

function valueAt(value: unknown, path: JsonPath): unknown {
  let current: unknown = value;
  for (const part of path) {
    if (typeof part === 'number') current = Array.isArray(current) ? (current as unknown[])[part] : undefined;
    else current = isRecord(current) && Object.hasOwn(current, part) ? current[part] : undefined;
  }
  return current;
}

/** The schema of a path inside a schema, as far as objects, lists and records lead. */
function schemaAt(schema: z.core.$ZodType, path: JsonPath): z.core.$ZodType | undefined {
  let current: z.core.$ZodType | undefined = unwrap(schema);
  for (const part of path) {
    if (current instanceof z.ZodObject) current = (current.shape as Readonly<Record<string, z.core.$ZodType>>)[part];
    else if (current instanceof z.ZodArray) current = current.element;
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else return undefined;
    if (current === undefined) return undefined;
    current = unwrap(current);
  }
  return current;
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let current = schema;
  while (current instanceof z.ZodDefault || current instanceof z.ZodOptional || current instanceof z.ZodNullable) {
    current = current.unwrap();
  }
  // Of a choice, the object is the one that has fields.
  if (current instanceof z.ZodUnion) return current.options.find((option) => option instanceof z.ZodObject) ?? current;
  return current;
}

function fieldNames(schema: z.core.$ZodType | undefined): readonly string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
