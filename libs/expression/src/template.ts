import { FettleError } from '@fettle/contracts';
import { evaluate, type Variables } from './evaluate.js';
import { parseExpression, type Expression } from './expression.js';
import { scanTemplate } from './template-scan.js';
import type { ExpressionEnvironment } from './types.js';

/** Limits on one template (the value of a `with`) and on what it renders to. */
export const templateLimits = Object.freeze({
  maxExpressions: 1000,
  maxDepth: 64,
  maxNodes: 100_000,
  maxTextChars: 1024 * 1024,
});

/** An expression found in a value: where the string that holds it lies, and where in that string it begins. */
export interface FoundExpression {
  /** e.g. `argv[1]` or `env.PATH`; empty for the value itself. */
  readonly path: string;
  readonly source: string;
  /** UTF-16 code units from the beginning of the string. */
  readonly offset: number;
  /** The string is this expression alone, so it yields a typed value. */
  readonly whole: boolean;
}

type Part = string | Expression;
type Compiled =
  | { readonly kind: 'constant'; readonly value: unknown }
  | { readonly kind: 'text'; readonly parts: readonly Part[]; readonly path: string }
  | { readonly kind: 'list'; readonly items: readonly Compiled[] }
  | { readonly kind: 'map'; readonly entries: readonly (readonly [string, Compiled])[] };

/** A value whose expressions are parsed and checked; render it once a target. */
export interface Template {
  readonly environment: ExpressionEnvironment;
  /** All its expressions, in order. */
  readonly expressions: readonly (FoundExpression & { readonly expression: Expression })[];
  /** For this room only. */
  readonly root: Compiled;
}

/**
 * Parses every `${{ }}` of a JSON value. Throws FettleError `invalid-expression` with `detail.origin` (the path in the value) and
 * positions inside the expression, or `limit-exceeded`.
 */
export function compileTemplate(value: unknown, environment: ExpressionEnvironment, origin = ''): Template {
  const expressions: (FoundExpression & { expression: Expression })[] = [];
  const root = walk(value, origin, (text, path) => {
    const parts = scanTemplate(text, path === '' ? undefined : path).map((piece, _index, all): Part => {
      if ('text' in piece) return piece.text;
      const expression = parseExpression(piece.expression, environment, { origin: path === '' ? undefined : path });
      expressions.push({ path, source: piece.expression, offset: piece.offset, whole: all.length === 1, expression });
      if (expressions.length > templateLimits.maxExpressions)
        throw tooLarge(`more than ${templateLimits.maxExpressions} expressions`);
      return expression;
    });
    return { kind: 'text', parts, path };
  });
  return { environment, expressions, root };
}

/** The expressions of a JSON value with their paths, not parsed. Throws FettleError `invalid-expression` where one never ends. */
export function findExpressions(value: unknown): FoundExpression[] {
  const found: FoundExpression[] = [];
  walk(value, '', (text, path) => {
    const pieces = scanTemplate(text, path === '' ? undefined : path);
    for (const piece of pieces) {
      if ('text' in piece) continue;
      found.push({ path, source: piece.expression, offset: piece.offset, whole: pieces.length === 1 });
      if (found.length > templateLimits.maxExpressions)
        throw tooLarge(`more than ${templateLimits.maxExpressions} expressions`);
    }
    return { kind: 'constant', value: text };
  });
  return found;
}

/**
 * Replaces each `${{ CEL }}` by its value, once: what comes out is data and is never rendered again. A string that is one
 * expression alone becomes the typed value; inside other text it must be a string, number or bool. Throws FettleError
 * `invalid-expression`, `unknown-value` (missing or wrongly typed) or `limit-exceeded`.
 */
export function renderTemplate(value: unknown, environment: ExpressionEnvironment, variables: Variables): unknown {
  return renderCompiled(compileTemplate(value, environment), variables);
}

/** `renderTemplate` for a template that is parsed already. */
export function renderCompiled(template: Template, variables: Variables): unknown {
  let left = templateLimits.maxTextChars;
  const text = (parts: readonly Part[], path: string): unknown => {
    const [first] = parts;
    if (parts.length === 1 && first !== undefined && typeof first !== 'string') return valueOf(first, variables, path);
    const pieces = parts.map((part) =>
      typeof part === 'string' ? part : embedded(valueOf(part, variables, path), part, path),
    );
    left -= pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (left < 0) throw tooLarge(`more than ${templateLimits.maxTextChars} characters of text`);
    return pieces.join('');
  };
  const render = (node: Compiled): unknown => {
    if (node.kind === 'constant') return node.value;
    if (node.kind === 'text') return text(node.parts, node.path);
    if (node.kind === 'list') return node.items.map(render);
    // fromEntries defines own properties, so a key `__proto__` stays a key.
    return Object.fromEntries(node.entries.map(([key, entry]) => [key, render(entry)]));
  };
  return render(template.root);
}

function valueOf(expression: Expression, variables: Variables, path: string): unknown {
  const evaluation = evaluate(expression, variables);
  if (evaluation.known) return evaluation.value;
  throw new FettleError({
    code: 'unknown-value',
    message: `${at(path)}\${{ ${shorten(expression.source)} }} has no value: ${evaluation.reason}`,
    remedy: 'Ask with has(...) first, or give the value.',
    position: evaluation.position,
    detail: { path },
  });
}

function embedded(value: unknown, expression: Expression, path: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const type = value === null ? 'null' : Array.isArray(value) ? 'a list' : 'a map';
  throw new FettleError({
    code: 'unknown-value',
    message: `${at(path)}\${{ ${shorten(expression.source)} }} is ${type}; inside other text only a string, number or bool can stand`,
    remedy: 'Let the expression stand alone to pass the value as it is, or take a part of it.',
    detail: { path },
  });
}

function at(path: string): string {
  return path === '' ? '' : `${path}: `;
}

function shorten(source: string): string {
  const text = source.trim();
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function tooLarge(what: string): FettleError {
  return new FettleError({ code: 'limit-exceeded', message: `the template has ${what}` });
}

/** Goes through a JSON value, strings by `onText`, and counts what it meets. */
function walk(value: unknown, rootPath: string, onText: (text: string, path: string) => Compiled): Compiled {
  let nodes = 0;
  const visit = (node: unknown, path: string, depth: number): Compiled => {
    nodes += 1;
    if (nodes > templateLimits.maxNodes) throw tooLarge(`more than ${templateLimits.maxNodes} values`);
    if (depth > templateLimits.maxDepth) throw tooLarge(`more than ${templateLimits.maxDepth} levels`);
    if (typeof node === 'string') return node.includes('${{') ? onText(node, path) : { kind: 'constant', value: node };
    if (typeof node !== 'object' || node === null) return { kind: 'constant', value: node };
    if (Array.isArray(node))
      return { kind: 'list', items: node.map((item, index) => visit(item, `${path}[${index}]`, depth + 1)) };
    const entries = Object.entries(node).map(
      ([key, entry]) => [key, visit(entry, keyPath(path, key), depth + 1)] as const,
    );
    return { kind: 'map', entries };
  };
  return visit(value, rootPath, 0);
}

function keyPath(path: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(key)) return `${path}[${JSON.stringify(key.slice(0, 60))}]`;
  return path === '' ? key : `${path}.${key}`;
}
