import type { SourcePosition } from '@fettle/contracts';
import type { Expression } from './expression.js';
import { positionOf } from './problem.js';
import { constantKey, type Node } from './syntax.js';

/** A value of the environment that an expression reads. */
export interface Reference {
  /** Variable and constant keys, as far as they are constant: `['steps', 'touch', 'stdout']`; list indexes as decimals. */
  readonly keys: readonly string[];
  /** The keys joined by dots. */
  readonly path: string;
  /** Where the last of the keys stands in the expression. */
  readonly position: SourcePosition;
}

/** The paths an expression reads, each once, sorted: `['inputs.path', 'steps.touch.stdout']`. */
export function references(expression: Expression): string[] {
  return [...new Set(findReferences(expression).map((reference) => reference.path))].sort();
}

/** Every place where an expression reads a variable, in order of the source, with the longest constant path. */
export function findReferences(expression: Expression): Reference[] {
  const found: Reference[] = [];
  collect(expression.root, new Set(), found);
  return found;
}

function collect(node: Node, bound: ReadonlySet<string>, found: Reference[]): void {
  const path = pathOf(node);
  if (path !== undefined) {
    const [variable] = path;
    if (variable !== undefined && !bound.has(variable))
      found.push({ keys: path, path: path.join('.'), position: positionOf(node.place) });
    return;
  }
  if (node.op === 'macro') {
    collect(node.range, bound, found);
    const inner = new Set(bound).add(node.variable);
    for (const part of node.filter ? [node.filter, node.body] : [node.body]) collect(part, inner, found);
    return;
  }
  for (const child of children(node)) collect(child, bound, found);
}

function pathOf(node: Node): string[] | undefined {
  const keys: string[] = [];
  let inner = node;
  while (inner.op === 'select' || inner.op === 'index') {
    const key = constantKey(inner);
    if (key === undefined) return undefined;
    keys.push(String(key));
    inner = inner.operand;
  }
  return inner.op === 'variable' ? [inner.name, ...keys.reverse()] : undefined;
}

function children(node: Exclude<Node, { op: 'macro' }>): readonly Node[] {
  switch (node.op) {
    case 'literal':
    case 'variable':
      return [];
    case 'list':
      return node.items;
    case 'map':
      return node.entries.flat();
    case 'select':
    case 'not':
    case 'negate':
      return [node.operand];
    case 'index':
      return [node.operand, node.key];
    case 'and':
    case 'or':
      return node.operands;
    case 'conditional':
      return [node.condition, node.whenTrue, node.whenFalse];
    case 'has':
      return [node.path];
    case 'binary':
      return [node.left, node.right];
    case 'call':
      return node.receiver ? [node.receiver, ...node.args] : node.args;
  }
}
