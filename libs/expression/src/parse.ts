import { Environment, ParseError, type ASTNode } from '@marcbachmann/cel-js';
import { invalidExpression, type Place, type Source } from './problem.js';
import { constantKey, macroNames, type BinaryOperator, type Literal, type MacroName, type Node } from './syntax.js';

/** Limits on the text and shape of one expression. */
export const expressionLimits = Object.freeze({
  maxSourceChars: 4096,
  maxNodes: 2000,
  /** Brackets within brackets, as the parser counts. */
  maxNesting: 64,
  /** Levels of the syntax tree; a chain of `&&` or `||` counts as one. */
  maxDepth: 128,
  maxListElements: 1000,
  maxMapEntries: 200,
  maxArguments: 8,
});

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;

/** Only the grammar of the library is used; types and values are this room's own (see docs/reference/expressions.md). */
const grammar = new Environment({
  limits: {
    maxAstNodes: expressionLimits.maxNodes,
    maxDepth: expressionLimits.maxNesting,
    maxListElements: expressionLimits.maxListElements,
    maxMapEntries: expressionLimits.maxMapEntries,
    maxCallArguments: expressionLimits.maxArguments,
  },
});

/** Reads the text of one expression. Throws FettleError `invalid-expression`. */
export function parseSyntax(text: string, origin?: string): Node {
  // What is shown of a text that is too long is its beginning; the rest is not even looked at.
  const source: Source = { text: text.slice(0, expressionLimits.maxSourceChars + 1), origin };
  const start: Place = { source, offset: 0 };
  if (text.length > expressionLimits.maxSourceChars) {
    throw invalidExpression(
      start,
      `the expression has ${text.length} characters, ${expressionLimits.maxSourceChars} are allowed`,
    );
  }
  if (text.trim() === '') throw invalidExpression(start, 'the expression is empty');
  try {
    return convert(grammar.parse(text).ast, source, 0);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const offset = Math.min(error.range?.start ?? 0, text.length);
    const found = text.slice(offset, Math.max(offset + 1, error.range?.end ?? offset));
    const summary = lowerFirst(error.summary);
    const message =
      error.code === 'limit_exceeded' ? `the expression is too large or nested too deeply: ${summary}` : summary;
    if (found === '=' && error.code !== 'limit_exceeded') {
      throw invalidExpression({ source, offset }, '"=" sets nothing here; values are compared with "=="', {
        text: found,
        suggestion: '==',
        cause: error,
      });
    }
    throw invalidExpression({ source, offset }, message, {
      text: found === '' ? undefined : found,
      cause: error,
    });
  }
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

function convert(ast: ASTNode, source: Source, depth: number): Node {
  const place: Place = { source, offset: ast.start };
  if (depth > expressionLimits.maxDepth) {
    throw invalidExpression(place, `the expression is nested more than ${expressionLimits.maxDepth} levels deep`);
  }
  const down = (child: ASTNode): Node => convert(child, source, depth + 1);
  switch (ast.op) {
    case 'value':
      return { op: 'literal', value: literal(ast.args, place), place };
    case 'id':
      return { op: 'variable', name: ast.args, place };
    case '.':
      return { op: 'select', operand: down(ast.args[0]), field: ast.args[1], place: { source, offset: ast.pos } };
    case '[]':
      return { op: 'index', operand: down(ast.args[0]), key: down(ast.args[1]), place };
    case 'list':
      return { op: 'list', items: ast.args.map(down), place };
    case 'map':
      return { op: 'map', entries: ast.args.map(([key, value]) => [down(key), down(value)] as const), place };
    case '!_':
      return { op: 'not', operand: down(ast.args), place };
    case '-_':
      return negate(ast.args, place, down);
    case '&&':
    case '||':
      return { op: ast.op === '&&' ? 'and' : 'or', operands: chain(ast, ast.op).map(down), place };
    case '?:':
      return {
        op: 'conditional',
        condition: down(ast.args[0]),
        whenTrue: down(ast.args[1]),
        whenFalse: down(ast.args[2]),
        place,
      };
    case 'call':
      return convertCall(ast.args[0], ast.args[1], place, down);
    case 'rcall':
      return convertMethod(ast.args[0], ast.args[1], ast.args[2], source, down);
    case '.?':
    case '[?]':
      throw invalidExpression(place, 'optional access is not part of this language; use has()');
    default:
      return {
        op: 'binary',
        operator: ast.op satisfies BinaryOperator,
        left: down(ast.args[0]),
        right: down(ast.args[1]),
        place,
      };
  }
}

/** The operands of a chain of one operator, whichever way it leans, without recursion. */
function chain(ast: ASTNode, operator: '&&' | '||'): ASTNode[] {
  const operands: ASTNode[] = [];
  const pending: ASTNode[] = [ast];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.op === operator) pending.push(next.args[1], next.args[0]);
    else operands.push(next);
  }
  return operands;
}

function literal(value: unknown, place: Place): Literal {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint') {
    if (value > MAX_INT) throw invalidExpression(place, 'the integer does not fit in 64 bits', { text: String(value) });
    return value;
  }
  if (typeof value === 'string') {
    // Neither can occur in a value stored in Postgres, so comparing with one can only be a mistake.
    if (value.includes('\0') || !value.isWellFormed()) {
      throw invalidExpression(place, 'a string must not hold U+0000 or half of a surrogate pair');
    }
    return value;
  }
  throw invalidExpression(place, 'unsigned integers and bytes are not part of this language; use an int or a string');
}

function negate(operand: ASTNode, place: Place, down: (child: ASTNode) => Node): Node {
  if (operand.op === 'value' && typeof operand.args === 'bigint') {
    if (-operand.args < MIN_INT) throw invalidExpression(place, 'the integer does not fit in 64 bits');
    return { op: 'literal', value: -operand.args, place };
  }
  if (operand.op === 'value' && typeof operand.args === 'number') return { op: 'literal', value: -operand.args, place };
  return { op: 'negate', operand: down(operand), place };
}

function convertCall(name: string, args: readonly ASTNode[], place: Place, down: (child: ASTNode) => Node): Node {
  if (name !== 'has') return { op: 'call', name, receiver: null, args: args.map(down), place };
  const [argument] = args;
  const path = argument && args.length === 1 ? down(argument) : null;
  if (path === null || constantKey(path) === undefined) {
    throw invalidExpression(
      place,
      'has() takes one field, e.g. has(asset.facts.os.family) or has(asset.labels["a.b"])',
    );
  }
  return { op: 'has', path, place };
}

function isMacro(name: string): name is MacroName {
  return (macroNames as readonly string[]).includes(name);
}

function convertMethod(
  name: string,
  receiver: ASTNode,
  args: readonly ASTNode[],
  source: Source,
  down: (child: ASTNode) => Node,
): Node {
  // The parser keeps no position of a method's name; it stands after the receiver.
  const found = source.text.indexOf(name, receiver.end);
  const place: Place = { source, offset: found < 0 ? receiver.start : found };
  if (!isMacro(name)) return { op: 'call', name, receiver: down(receiver), args: args.map(down), place };
  const [variable, ...bodies] = args;
  const wanted = name === 'map' ? [1, 2] : [1];
  if (variable?.op !== 'id' || !wanted.includes(bodies.length)) {
    throw invalidExpression(place, `${name}() takes a variable and an expression, e.g. list.${name}(x, x > 1)`, {
      text: name,
    });
  }
  const [first, second] = bodies as [ASTNode, ASTNode | undefined];
  return {
    op: 'macro',
    name,
    range: down(receiver),
    variable: variable.args,
    body: down(second ?? first),
    filter: second === undefined ? null : down(first),
    place,
  };
}
