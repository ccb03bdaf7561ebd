import { stepKinds, stepShapes, type Finding, type StepKind } from '@fettle/contracts';
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
  const given = valueAt(context.value, path);
  const schema = schemaAt(context.schema, path, context.value);
  const known = fieldNames(schema === undefined ? undefined : meantShape(schema, given));
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

/** Of a choice between shapes, the one that was probably meant says what is wrong; if none fits, all expected types are named. */
function unionFindings(branches: readonly (readonly Issue[])[], path: JsonPath, context: Context): readonly Finding[] {
  if (isStepChoice(branches, path, context)) return stepFindings(branches, path, context);
  if (isWaitChoice(path, context)) return waitFindings(branches, path, context);
  const fitting = meantBranch(branches);
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

/** Of the shapes whose type fits, the one with the fewest members that it does not know, then the one with the least wrong. */
function meantBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const unknownKeys = (issues: readonly Issue[]): number =>
    issues.reduce(
      (sum, issue) => sum + (issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys.length : 0),
      0,
    );
  return branches
    .filter((issues) => !issues.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0))
    .sort((a, b) => unknownKeys(a) - unknownKeys(b) || a.length - b.length)[0];
}

/** Whether the choice is that between the kinds of steps: each shape lacks its telling member, or is wrong inside of it. */
function isStepChoice(branches: readonly (readonly Issue[])[], path: JsonPath, { value, schema }: Context): boolean {
  const isStep = branches.length === stepKinds.length && isStepSchema(schemaAt(schema, path, value));
  return isStep && isRecord(valueAt(value, path));
}

function kindsOf(value: unknown): readonly StepKind[] {
  return isRecord(value) ? stepKinds.filter((kind) => Object.hasOwn(value, kind)) : [];
}

/** A step is told by one member; with it, only what is wrong with that kind of step is of interest. */
function stepFindings(branches: readonly (readonly Issue[])[], path: JsonPath, context: Context): readonly Finding[] {
  const value = valueAt(context.value, path);
  const kinds = kindsOf(value);
  const [kind] = kinds;
  if (kind !== undefined && kinds.length === 1) {
    // The shapes of the choice stand in the order of the kinds.
    const issues = branches[stepKinds.indexOf(kind)] ?? [];
    return issues.flatMap((issue) => issueFindings(issue, [...path, ...pathOf(issue)], context));
  }
  const full = [...context.base, ...path];
  const list = stepKinds.join(', ');
  if (kinds.length > 1) {
    const second = [...full, kinds[1] ?? ''];
    const message = `a step is one thing: of ${kinds.join(' and ')} it may have one`;
    return [finding('step-kind', message, { path: second, ...context.places.keyAt(second) })];
  }
  const written = isRecord(value) ? Object.keys(value) : [];
  const slip = written.find((key) => !(key in stepShapes.uses.shape) && closestName(key, stepKinds) !== undefined);
  const message = `a step has one of ${list}`;
  if (slip === undefined) return [finding('step-kind', message, { path: full, ...context.places.valueAt(full) })];
  const at = [...full, slip];
  const suggestion = closestName(slip, stepKinds);
  return [finding('step-kind', message, { path: at, ...context.places.keyAt(at), suggestion })];
}

/** The members that tell what is waited for, in the order of the shapes. */
const waitKinds = ['duration', 'until', 'uses', 'signal'] as const;

function isWaitChoice(path: JsonPath, { value, schema }: Context): boolean {
  return schemaAt(schema, path, value) === stepShapes.wait.shape.wait && isRecord(valueAt(value, path));
}

function waitFindings(branches: readonly (readonly Issue[])[], path: JsonPath, context: Context): readonly Finding[] {
  const value = valueAt(context.value, path);
  const written = isRecord(value) ? Object.keys(value) : [];
  const kinds = waitKinds.filter((kind) => written.includes(kind));
  const [first, second] = kinds;
  const slip = written.map((key) => closestName(key, waitKinds)).find((meant) => meant !== undefined);
  const kind = waitKinds.find((one) => one === (first ?? slip));
  if (kind !== undefined && second === undefined) {
    const issues = branches[waitKinds.indexOf(kind)] ?? [];
    return issues.flatMap((issue) => issueFindings(issue, [...path, ...pathOf(issue)], context));
  }
  const message = 'a wait is for one thing: give exactly one of duration, until, signal, uses';
  const full = [...context.base, ...path];
  const place = second === undefined ? context.places.valueAt(full) : context.places.keyAt([...full, second]);
  const at = second === undefined ? full : [...full, second];
  return [finding('invalid-value', message, { path: at, ...place })];
}

export function describeExpected(expected: string): string {
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
export function nameOf(path: JsonPath): string {
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

/** The schema of a path inside a schema, as far as objects, lists and records lead; of a choice, the shape that is meant. */
function schemaAt(schema: z.core.$ZodType, path: JsonPath, root: unknown): z.core.$ZodType | undefined {
  let current: z.core.$ZodType | undefined = unwrap(schema);
  let value: unknown = root;
  for (const part of path) {
    const shape = meantShape(current, value);
    if (shape instanceof z.ZodObject) current = (shape.shape as Readonly<Record<string, z.core.$ZodType>>)[part];
    else if (shape instanceof z.ZodArray) current = shape.element;
    else if (shape instanceof z.ZodRecord) current = shape.valueType;
    else return undefined;
    if (current === undefined) return undefined;
    current = unwrap(current);
    value = valueAt(value, [part]);
  }
  return current;
}

function isStepSchema(schema: z.core.$ZodType | undefined): boolean {
  return schema instanceof z.ZodUnion && schema.options.includes(stepShapes.try);
}

/** Of a choice, the list where there is one, else the object that knows most of the members. */
function meantShape(schema: z.core.$ZodType, value: unknown): z.core.$ZodType {
  if (!(schema instanceof z.ZodUnion)) return schema;
  if (isStepSchema(schema)) {
    const [kind] = kindsOf(value);
    return kind === undefined ? schema : stepShapes[kind];
  }
  const options = schema.options.map((option) => unwrap(option));
  const known = (option: z.core.$ZodType): number =>
    option instanceof z.ZodObject
      ? Object.keys(isRecord(value) ? value : {}).filter((key) => key in option.shape).length
      : -1;
  const list = Array.isArray(value) ? options.find((option) => option instanceof z.ZodArray) : undefined;
  return (
    list ?? options.reduce((best, option) => (known(option) > known(best) ? option : best), schema as z.core.$ZodType)
  );
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let current = schema;
  while (
    current instanceof z.ZodDefault ||
    current instanceof z.ZodOptional ||
    current instanceof z.ZodNullable ||
    current instanceof z.ZodLazy
  ) {
    current = current.unwrap();
  }
  return current;
}

function fieldNames(schema: z.core.$ZodType | undefined): readonly string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
