import { nameSchema, type Finding, type RunbookSpec } from '@fettle/contracts';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { fullFormats } from 'ajv-formats/dist/formats.js';
import { forbiddenKeys, isRecord, jsonSizeBytes, type JsonObject, type JsonPath, type JsonValue } from '../json.js';
import { closestName } from './closest-name.js';
import { declaredInputs, QUERY_KEYWORD, SECRET_KEYWORD } from './declared-inputs.js';
import { finding } from './findings.js';
import { closedInputs, inputFormats, walkInputsSchema, type SchemaOwner } from './inputs-schema.js';
import { linearPattern } from './linear-pattern.js';

/** Limits on the inputs of a run: they are kept in the workflow's history and seen by every expression. */
export const inputsLimits = Object.freeze({ maxBytes: 65_536, maxDepth: 32, maxValues: 10_000, maxFormatChars: 2048 });

export type InputsResult =
  | { readonly inputs: JsonObject; readonly findings: readonly [] }
  | { readonly inputs: null; readonly findings: readonly Finding[] };

/**
 * Checks the inputs of a run against the runbook's JSON Schema (draft 2020-12). Nothing is converted: `"5"` is not a number.
 * An input that the schema does not name is refused, unless the schema says which others there may be. Returns a copy with the schema's defaults, or findings of code `invalid-inputs`, whose paths begin with `inputs`.
 */
export function validateInputs(spec: Pick<RunbookSpec, 'inputs'>, inputs: unknown): InputsResult {
  return validateAgainst(spec.inputs, inputs, 'inputs');
}

/** As `validateInputs`, of what a signal brings: its sender may say more than the runbook asks for. */
export function validatePayload(schema: Readonly<Record<string, unknown>>, payload: unknown): InputsResult {
  return validateAgainst(schema, payload, 'payload');
}

function validateAgainst(
  declared: Readonly<Record<string, unknown>>,
  inputs: unknown,
  owner: SchemaOwner,
): InputsResult {
  const broken = checkSize(inputs);
  if (broken !== null) return { inputs: null, findings: [broken] };
  const schema = compileSchema(declared, owner);
  if (!('validate' in schema)) return { inputs: null, findings: schema.findings };
  // Validation writes the defaults into what it checks.
  const copy = structuredClone(inputs) as JsonObject;
  if (schema.validate(copy)) {
    const findings = secretFindings(declared, copy);
    return findings.length === 0 ? { inputs: copy, findings: [] } : { inputs: null, findings };
  }
  const errors = (schema.validate.errors ?? []).slice(0, 100);
  const findings = errors.flatMap((error) => inputFinding(error, declared));
  return { inputs: null, findings };
}

/** What was given for a secret input and is no name may be the secret itself, so it is never repeated. */
function secretFindings(schema: Readonly<Record<string, unknown>>, inputs: JsonObject): readonly Finding[] {
  return declaredInputs(schema).flatMap(({ name, isSecret }) => {
    if (!isSecret || !Object.hasOwn(inputs, name) || nameSchema.safeParse(inputs[name]).success) return [];
    const message = `the input "${name}" is secret: it takes the name of a credential, and what is given is none; store the secret with "fettle credential set NAME" and give its name`;
    return [finding('invalid-inputs', message, { path: ['inputs', name] })];
  });
}

/** What is wrong with the JSON Schema of a runbook's inputs, or of a payload; paths are relative to the schema. */
export function checkInputsSchema(
  schema: Readonly<Record<string, unknown>>,
  owner: SchemaOwner = 'inputs',
): readonly Finding[] {
  const compiled = compileSchema(schema, owner);
  return 'validate' in compiled ? defaultFindings(schema, compiled.validate) : compiled.findings;
}

/** Parts of the whole schema that say something of several members: a default alone need not fit them. */
const wholeRules = /^#\/(?:allOf|anyOf|oneOf|not|if|then|else|dependentSchemas)\b/;

/** Defaults that do not fit the schema which they stand in. */
function defaultFindings(schema: Readonly<Record<string, unknown>>, validate: ValidateFunction): readonly Finding[] {
  const findings: Finding[] = [];
  const visit = (inside: unknown, names: readonly string[], base: JsonPath): void => {
    if (!isRecord(inside)) return;
    if (names.length > 0 && Object.hasOwn(inside, 'default')) {
      const found = defaultProblem(inside['default'], names, schema, validate);
      const path = [...base, 'default'];
      if (found !== undefined) findings.push(finding('invalid-inputs-schema', found, { path }));
    }
    const { properties } = inside;
    if (!isRecord(properties)) return;
    for (const [name, member] of Object.entries(properties)) {
      visit(member, [...names, name], [...base, 'properties', name]);
    }
  };
  visit(schema, [], []);
  return findings;
}

function defaultProblem(
  value: unknown,
  names: readonly string[],
  schema: Readonly<Record<string, unknown>>,
  validate: ValidateFunction,
): string | undefined {
  const inputs = names.reduceRight<unknown>((inner, name) => ({ [name]: inner }), structuredClone(value));
  if (validate(inputs)) return undefined;
  const pointer = names.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  const own = (validate.errors ?? []).filter(
    ({ instancePath, schemaPath }) => `${instancePath}/`.startsWith(`${pointer}/`) && !wholeRules.test(schemaPath),
  );
  return own.flatMap((error) => inputFinding(error, schema))[0]?.message.replace(/^the input /, 'the default of ');
}

export function compileSchema(
  declared: Readonly<Record<string, unknown>>,
  owner: SchemaOwner,
): { readonly validate: ValidateFunction } | { readonly findings: readonly Finding[] } {
  const findings = walkInputsSchema(declared, owner);
  if (findings.length > 0) return { findings };
  const schema = owner === 'inputs' ? closedInputs(declared) : declared;
  const text = JSON.stringify(schema);
  const known = current?.compiled.get(text);
  if (known !== undefined) return { validate: known };
  const { ajv, compiled } = sharedAjv();
  if (ajv.validateSchema(schema) !== true) {
    const errors = (ajv.errors ?? []).slice(0, 20);
    return { findings: errors.map((error) => schemaFinding(error)) };
  }
  try {
    const validate = ajv.compile(schema);
    compiled.set(text, validate);
    return { validate };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { findings: [finding('invalid-inputs-schema', message)] };
  }
}

/** An instance keeps what it compiled for ever, and schemas come from users; making one takes as long as ten compilations. */
const MAX_SCHEMAS_BY_INSTANCE = 50;
interface SharedAjv {
  readonly ajv: Ajv2020;
  /** By the schema's text: a schedule starts the same runbook over and over. */
  readonly compiled: Map<string, ValidateFunction>;
  schemas: number;
}
let current: SharedAjv | null = null;

function sharedAjv(): SharedAjv {
  if (current === null || current.schemas >= MAX_SCHEMAS_BY_INSTANCE)
    current = { ajv: newAjv(), compiled: new Map(), schemas: 0 };
  current.schemas += 1;
  return current;
}

function newAjv(): Ajv2020 {
  const regExp = Object.assign((pattern: string) => linearPattern(pattern), { code: 'linearPattern' });
  const ajv = new Ajv2020({
    strict: true,
    // `anyOf: [{required: [a]}, {required: [b]}]` is good style and would be refused.
    strictRequired: false,
    allowUnionTypes: true,
    allErrors: true,
    useDefaults: true,
    coerceTypes: false,
    ownProperties: true,
    logger: false,
    code: { regExp },
  });
  // What they mean is checked beside the schema: the values stand in the database.
  ajv.addKeyword({ keyword: QUERY_KEYWORD, schemaType: 'string' });
  ajv.addKeyword({ keyword: SECRET_KEYWORD, schemaType: 'boolean' });
  for (const name of inputFormats) {
    const validate = formatCheck(fullFormats[name]);
    ajv.addFormat(name, {
      type: 'string',
      validate: (text) => text.length <= inputsLimits.maxFormatChars && validate(text),
    });
  }
  return ajv;
}

function formatCheck(format: (typeof fullFormats)[keyof typeof fullFormats] | undefined): (text: string) => boolean {
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === 'function') return (text) => format(text);
  if (typeof format === 'object' && 'validate' in format && format.type !== 'number') {
    const { validate } = format;
    if (validate instanceof RegExp) return (text) => validate.test(text);
    if (typeof validate === 'function') return (text) => Reflect.apply(validate, undefined, [text]) === true;
  }
  throw new TypeError('the format has no check');
}

function checkSize(inputs: unknown): Finding | null {
  const refuse = (message: string): Finding => finding('invalid-inputs', message, { path: ['inputs'] });
  if (!isRecord(inputs)) return refuse('the inputs must be an object');
  let values = 0;
  const problem = (value: unknown, depth: number): string | null => {
    values += 1;
    if (values > inputsLimits.maxValues) return `the inputs hold more than ${inputsLimits.maxValues} values`;
    if (depth > inputsLimits.maxDepth) return `the inputs are nested more than ${inputsLimits.maxDepth} levels deep`;
    if (typeof value === 'number' && !Number.isFinite(value)) return `${value} is not a JSON number`;
    if (value === undefined || ['function', 'symbol', 'bigint'].includes(typeof value))
      return 'the inputs must be JSON values';
    if (typeof value !== 'object' || value === null) return null;
    const members = Array.isArray(value) ? value : Object.entries(value);
    for (const member of members as unknown[]) {
      const [key, inside] = Array.isArray(value) ? ['', member] : (member as [string, unknown]);
      if (forbiddenKeys.has(key)) return `the key "${key}" is not allowed in inputs`;
      const found = problem(inside, depth + 1);
      if (found !== null) return found;
    }
    return null;
  };
  const found = problem(inputs, 0);
  if (found !== null) return refuse(found);
  const { maxBytes } = inputsLimits;
  if (jsonSizeBytes(inputs as JsonValue) > maxBytes) return refuse(`the inputs are larger than ${maxBytes / 1024} KiB`);
  return null;
}

/** The path of a JSON pointer (RFC 6901). Digits are an index only where there is a list. */
function pointerPath(pointer: string, value?: unknown): JsonPath {
  const path: (string | number)[] = [];
  let current = value;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    const isIndex = Array.isArray(current);
    path.push(isIndex ? Number(name) : name);
    current = isIndex ? (current as unknown[])[Number(name)] : isRecord(current) ? current[name] : undefined;
  }
  return path;
}

function schemaFinding(error: ErrorObject): Finding {
  return finding('invalid-inputs-schema', `${nameOf(error.instancePath)} ${error.message ?? 'is wrong'}`, {
    path: pointerPath(error.instancePath),
  });
}

function nameOf(pointer: string): string {
  const last = pointer.split('/').at(-1) ?? '';
  return last === '' ? 'the schema' : `"${last.slice(0, 60)}"`;
}

function inputFinding(error: ErrorObject, schema: Readonly<Record<string, unknown>>): readonly Finding[] {
  // The parts of a choice that did not fit are said by the choice itself.
  if (/\/(anyOf|oneOf)\/\d+\//.test(error.schemaPath)) return [];
  const params = error.params as Readonly<Record<string, unknown>>;
  const path = ['inputs', ...pointerPath(error.instancePath)];
  const where = path.length === 1 ? 'the inputs' : `the input "${path.slice(1).join('.')}"`;
  if (error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties') {
    const name = String(params['additionalProperty'] ?? params['unevaluatedProperty']);
    const known = path.length === 1 && isRecord(schema['properties']) ? Object.keys(schema['properties']) : [];
    const list = known.length === 0 ? 'there are none' : `known inputs are ${known.slice(0, 20).join(', ')}`;
    const message =
      path.length === 1 ? `the runbook has no input "${name}"; ${list}` : `${where} has no member "${name}"`;
    return [finding('invalid-inputs', message, { path: [...path, name], suggestion: closestName(name, known) })];
  }
  if (error.keyword === 'required') {
    const name = String(params['missingProperty']);
    const message = path.length === 1 ? `the input "${name}" is missing` : `${where} lacks "${name}"`;
    return [finding('invalid-inputs', message, { path: [...path, name] })];
  }
  if (error.keyword === 'enum' && Array.isArray(params['allowedValues'])) {
    const values = params['allowedValues'].slice(0, 20).map((value) => JSON.stringify(value));
    return [finding('invalid-inputs', `${where} must be one of ${values.join(', ')}`, { path })];
  }
  if (error.keyword === 'format') {
    const format = String(params['format']);
    const example = examples[format];
    const such = example === undefined ? '' : ` such as ${example}`;
    return [finding('invalid-inputs', `${where} must be of the format "${format}"${such}`, { path })];
  }
  const meaning = error.keyword === 'pattern' ? meaningOf(path, schema) : '';
  return [finding('invalid-inputs', `${where} ${error.message ?? 'is wrong'}${meaning}`, { path })];
}

/** A pattern says what is wrong to few: what the runbook says of the input stands beside it. */
function meaningOf([, name, ...deeper]: JsonPath, { properties }: Readonly<Record<string, unknown>>): string {
  const declared = isRecord(properties) && deeper.length === 0 ? properties[String(name)] : undefined;
  const description = isRecord(declared) ? declared['description'] : undefined;
  return typeof description === 'string' ? ` (${description})` : '';
}

/** RFC 3339 and ISO 8601, which few know by heart. */
const examples: Readonly<Record<string, string>> = {
  date: '2026-11-22',
  time: '14:30:00Z',
  'date-time': '2026-11-22T14:30:00Z',
  duration: 'PT30M',
};
