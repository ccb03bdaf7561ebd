import type { Finding } from '@fettle/contracts';
import { isRecord, type JsonPath } from '../json.js';
import { closestName } from './closest-name.js';
import { ownKeywordProblem, QUERY_KEYWORD, SECRET_KEYWORD } from './declared-inputs.js';
import { finding } from './findings.js';
import { patternProblem } from './linear-pattern.js';

/** Limits on the JSON Schema of a runbook's inputs. */
export const inputsSchemaLimits = Object.freeze({
  maxDepth: 32,
  /** Schemas in the whole, those reached through `$ref` counted each time. */
  maxSchemas: 2000,
  maxPatternChars: 500,
});

const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

/** Formats that are checked; any other is refused, since it would check nothing. */
export const inputFormats = [
  'date',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'json-pointer',
  'regex',
  'time',
  'uri',
  'uri-reference',
  'uuid',
] as const;

const schemaTypes: readonly unknown[] = ['string', 'integer', 'number', 'boolean', 'array', 'object', 'null'];

/** Whose schema it is, for messages. */
export type SchemaOwner = 'inputs' | 'payload';

/** Where schemas stand inside a schema (draft 2020-12, core section 10 and validation section 8). */
const schemaKeywords: ReadonlySet<string> = new Set([
  ...['not', 'if', 'then', 'else', 'items', 'contains', 'additionalProperties', 'propertyNames'],
  ...['unevaluatedItems', 'unevaluatedProperties'],
]);
const schemaListKeywords: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
const schemaMapKeywords: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'dependentSchemas',
]);
const plainKeywords: ReadonlySet<string> = new Set([
  ...['$schema', '$ref', '$comment', 'type', 'enum', 'const', 'multipleOf', 'maximum', 'exclusiveMaximum', 'minimum'],
  ...['exclusiveMinimum', 'maxLength', 'minLength', 'pattern', 'maxItems', 'minItems', 'uniqueItems', 'maxContains'],
  ...[
    'minContains',
    'maxProperties',
    'minProperties',
    'required',
    'dependentRequired',
    'format',
    'title',
    'description',
  ],
  ...['default', 'deprecated', 'readOnly', 'writeOnly', 'examples'],
]);
const keywords: readonly string[] = [
  ...[...plainKeywords, ...schemaKeywords, ...schemaListKeywords, ...schemaMapKeywords],
  ...[QUERY_KEYWORD, SECRET_KEYWORD],
];

/** Keywords at the top of a schema by which it says itself which members there may be besides its `properties`. */
const membersKeywords: readonly string[] = [
  ...['additionalProperties', 'unevaluatedProperties', 'patternProperties', 'propertyNames', 'dependentSchemas'],
  ...['$ref', 'allOf', 'anyOf', 'oneOf', 'if'],
];

/**
 * The schema of a runbook's inputs as it is checked: where JSON Schema would let any other member pass, none does unless the
 * schema says so itself, since a slip in the name of an optional input would go unnoticed.
 */
export function closedInputs(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return membersKeywords.some((name) => name in schema) ? schema : { ...schema, additionalProperties: false };
}

/** Names under which older drafts or other dialects know a keyword. */
const otherNames: Readonly<Record<string, string>> = {
  definitions: '$defs',
  dependencies: 'dependentRequired',
  additionalItems: 'items',
  optional: 'required',
};

/**
 * What is wrong with the JSON Schema of a runbook's inputs, as far as a walk can see: unknown keywords, references that leave
 * the schema or come back to themselves, patterns that are not of linear time, and sizes. Paths are relative to the schema.
 */
export function walkInputsSchema(schema: Readonly<Record<string, unknown>>, owner: SchemaOwner): readonly Finding[] {
  const walk = new SchemaWalk(schema, owner);
  walk.visit(schema, [], []);
  const { findings } = walk;
  if (findings.length === 0 && schema['type'] !== 'object') {
    const what = owner === 'inputs' ? 'the inputs are' : 'the payload is';
    const message = `${what} an object: say "type: object"`;
    findings.push(finding('invalid-inputs-schema', message, { path: ['type'] }));
  }
  return findings;
}

class SchemaWalk {
  readonly findings: Finding[] = [];
  readonly #root: Readonly<Record<string, unknown>>;
  readonly #owner: SchemaOwner;
  readonly #reported = new Set<unknown>();
  #schemas = 0;
  #isOver = false;

  constructor(root: Readonly<Record<string, unknown>>, owner: SchemaOwner) {
    this.#root = root;
    this.#owner = owner;
  }

  /** `via`: the references that are being followed, so that a cycle is seen. */
  visit(schema: unknown, path: JsonPath, via: readonly string[]): void {
    if (this.#isOver || typeof schema === 'boolean') return;
    const { maxDepth, maxSchemas } = inputsSchemaLimits;
    this.#schemas += 1;
    if (this.#schemas > maxSchemas || path.length > maxDepth * 2 || via.length > maxDepth) {
      const limit =
        this.#schemas > maxSchemas
          ? `more than ${maxSchemas} schemas, those of $ref counted each time`
          : 'too many levels';
      this.#report(
        limit === 'too many levels' ? 'too-deep' : 'too-complex',
        `the schema of the ${this.#owner} has ${limit}`,
        path,
      );
      this.#isOver = true;
      return;
    }
    if (!isRecord(schema)) return this.#report('invalid-inputs-schema', 'a schema is an object, true or false', path);
    // What a reference leads to was reported where it stands.
    const isFirst = !this.#reported.has(schema);
    this.#reported.add(schema);
    for (const [keyword, value] of Object.entries(schema)) {
      if (isFirst) this.#checkKeyword(keyword, value, path, schema);
      if (keyword === '$ref') this.#follow(value, [...path, keyword], via);
      else if (keyword !== '$defs' || isFirst) this.#visitInside(keyword, value, [...path, keyword], via);
    }
  }

  #visitInside(keyword: string, value: unknown, path: JsonPath, via: readonly string[]): void {
    if (schemaKeywords.has(keyword)) this.visit(value, path, via);
    if (schemaListKeywords.has(keyword) && Array.isArray(value)) {
      value.forEach((item, index) => this.visit(item, [...path, index], via));
    }
    if (schemaMapKeywords.has(keyword) && isRecord(value)) {
      for (const [name, item] of Object.entries(value)) this.visit(item, [...path, name], via);
    }
  }

  #checkKeyword(keyword: string, value: unknown, path: JsonPath, schema: Readonly<Record<string, unknown>>): void {
    const full = [...path, keyword];
    if (keyword === QUERY_KEYWORD || keyword === SECRET_KEYWORD) {
      const problem = ownKeywordProblem(keyword, schema, path);
      if (problem !== null) this.#report('invalid-inputs-schema', problem, full);
      return;
    }
    if (!keywords.includes(keyword)) {
      const suggestion =
        (Object.hasOwn(otherNames, keyword) ? otherNames[keyword] : undefined) ?? closestName(keyword, keywords);
      const isOwn = keyword.startsWith('$') && suggestion === undefined;
      const why = isOwn ? 'is not allowed here' : 'is not a keyword of JSON Schema 2020-12';
      this.findings.push(
        finding('invalid-inputs-schema', `"${keyword.slice(0, 60)}" ${why}`, { path: full, suggestion }),
      );
    }
    if (keyword === '$schema' && value !== DIALECT) {
      this.#report('invalid-inputs-schema', `the dialect is ${DIALECT}; leave "$schema" out`, full);
    }
    // That of the whole has a message of its own.
    if (keyword === 'type' && path.length > 0) this.#checkType(value, full);
    if (keyword === 'pattern' && typeof value === 'string') this.#checkPattern(value, full);
    if (keyword === 'patternProperties' && isRecord(value)) {
      for (const pattern of Object.keys(value)) this.#checkPattern(pattern, [...full, pattern]);
    }
    if (keyword === 'format' && typeof value === 'string' && !(inputFormats as readonly string[]).includes(value)) {
      const message = `the format "${value.slice(0, 60)}" is not checked by Fettle; known formats are ${inputFormats.join(', ')}`;
      this.findings.push(
        finding('invalid-inputs-schema', message, { path: full, suggestion: closestName(value, inputFormats) }),
      );
    }
  }

  #checkType(value: unknown, path: JsonPath): void {
    for (const [index, type] of (Array.isArray(value) ? (value as unknown[]) : [value]).entries()) {
      if (schemaTypes.includes(type)) continue;
      const suggestion = typeof type === 'string' ? closestName(type, schemaTypes.map(String)) : undefined;
      const message = `"type" must be one of ${schemaTypes.join(', ')}`;
      const at = Array.isArray(value) ? [...path, index] : path;
      this.findings.push(finding('invalid-inputs-schema', message, { path: at, suggestion }));
    }
  }

  #checkPattern(pattern: string, path: JsonPath): void {
    const max = inputsSchemaLimits.maxPatternChars;
    if (pattern.length > max)
      return this.#report('invalid-inputs-schema', `a pattern has at most ${max} characters`, path);
    const problem = patternProblem(pattern);
    if (problem !== null) this.#report('invalid-inputs-schema', problem, path);
  }

  #follow(reference: unknown, path: JsonPath, via: readonly string[]): void {
    if (typeof reference !== 'string') return this.#report('invalid-inputs-schema', '"$ref" must be text', path);
    if (!reference.startsWith('#')) {
      return this.#report('invalid-inputs-schema', '"$ref" must stay inside the schema, e.g. "#/$defs/port"', path);
    }
    if (via.includes(reference) || reference === '#') {
      return this.#report(
        'invalid-inputs-schema',
        `the reference "${reference.slice(0, 60)}" comes back to itself`,
        path,
      );
    }
    const target = this.#resolve(reference);
    if (target === undefined) {
      return this.#report('invalid-inputs-schema', `there is no "${reference.slice(0, 60)}" in this schema`, path);
    }
    this.visit(target, path, [...via, reference]);
  }

  /** A JSON pointer as a URI fragment (RFC 6901 section 6). */
  #resolve(reference: string): unknown {
    let current: unknown = this.#root;
    for (const part of reference.slice(1).split('/').slice(1)) {
      const name = decodePointerPart(part);
      if (name === undefined) return undefined;
      if (Array.isArray(current)) current = (current as unknown[])[Number(name)];
      else current = isRecord(current) && Object.hasOwn(current, name) ? current[name] : undefined;
    }
    return current;
  }

  #report(code: string, message: string, path: JsonPath): void {
    this.findings.push(finding(code, message, { path }));
  }
}

function decodePointerPart(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return undefined;
  }
}
