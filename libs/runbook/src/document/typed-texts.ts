import { FettleError, type RunbookSpec } from '@fettle/contracts';
import { findExpressions, findReferences, parseExpression, type Expression } from '@fettle/expression';
import { isRecord, type JsonPath } from '../json.js';
import { declaredInputs } from './declared-inputs.js';
import { dynamicPaths, membersOf } from './runbook-context.js';

/** A text that is one expression alone, whose value has a type that is known before any value is. */
export interface TypedText {
  readonly path: JsonPath;
  /** Some value of that type. */
  readonly sample: unknown;
  /** `input "times" is a whole number`. */
  readonly said: string;
  /** How to write it where text is wanted; undefined: it is none that has one form as text. */
  readonly asText: string | undefined;
}

interface KnownType {
  readonly sample: unknown;
  readonly named: string;
  readonly isScalar: boolean;
}

const wholeNumber: KnownType = { sample: 0, named: 'a whole number', isScalar: true };
// Its value may be a whole one, so the sample is.
const number: KnownType = { sample: 0, named: 'a number', isScalar: true };
const trueOrFalse: KnownType = { sample: true, named: 'true or false', isScalar: true };
const list: KnownType = { sample: [], named: 'a list', isScalar: false };

const byDeclaration = new Map<string, KnownType>([
  ['integer', wholeNumber],
  ['number', number],
  ['boolean', trueOrFalse],
  ['array', list],
]);
const byExpression = new Map<string, KnownType>([
  ['int', wholeNumber],
  ['double', number],
  ['bool', trueOrFalse],
  ['list', list],
]);

/** Those inside of a value: `${{ inputs.times }}` by the declaration of the input, and `${{ 1 + 2 }}` by itself. */
export function typedTexts(value: unknown, inputs: RunbookSpec['inputs']): readonly TypedText[] {
  return dynamicPaths(value).flatMap((path) => typedText(valueAt(value, path), path, inputs) ?? []);
}

/** The value with each of these texts replaced by its sample. */
export function withSamples(value: unknown, texts: readonly TypedText[], path: JsonPath = []): unknown {
  const here = texts.find((text) => samePath(text.path, path));
  if (here !== undefined) return here.sample;
  if (Array.isArray(value)) return value.map((item, index) => withSamples(item, texts, [...path, index]));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withSamples(item, texts, [...path, key])]),
  );
}

export function samePath(a: JsonPath, b: JsonPath): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index]);
}

function typedText(text: unknown, path: JsonPath, inputs: RunbookSpec['inputs']): TypedText | null {
  const expression = typeof text === 'string' ? onlyExpression(text) : null;
  if (expression === null) return null;
  const source = expression.source.trim();
  const name = /^inputs\.(\w+)$/.exec(source)?.[1];
  const types = name === undefined ? [] : (declaredInputs(inputs).find((one) => one.name === name)?.types ?? []);
  const isOne = types.length === 1 && findReferences(expression).length === 1;
  const known = isOne ? byDeclaration.get(types[0] ?? '') : byExpression.get(expression.type.kind);
  if (known === undefined) return null;
  const who = isOne ? `input "${name ?? ''}"` : 'what stands here';
  const asText = known.isScalar ? `\${{ string(${source}) }}` : undefined;
  return { path, sample: known.sample, said: `${who} is ${known.named}`, asText };
}

/** Null where there are others, or text around it; what is wrong with an expression is told by those who check them. */
function onlyExpression(text: string): Expression | null {
  try {
    const [found, ...others] = findExpressions(text);
    if (found?.whole !== true || others.length > 0) return null;
    return parseExpression(found.source, 'target');
  } catch (error) {
    if (error instanceof FettleError) return null;
    throw error;
  }
}

function valueAt(value: unknown, path: JsonPath): unknown {
  return path.reduce<unknown>((inner, part) => membersOf(inner).find(([key]) => key === part)?.[1], value);
}
