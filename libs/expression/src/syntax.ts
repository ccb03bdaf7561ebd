import type { Place } from './problem.js';

export type Literal = null | boolean | bigint | number | string;
export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in';
export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';
export type BinaryOperator = ComparisonOperator | ArithmeticOperator;
export const macroNames = ['all', 'exists', 'exists_one', 'filter', 'map'] as const;
export type MacroName = (typeof macroNames)[number];

interface Placed {
  /** Where the node begins; for a selected field, where the field's name begins. */
  readonly place: Place;
}

/**
 * The syntax tree that checking, evaluation and compilation share. It differs from the parser's tree in that chains of `&&`
 * and `||` are flat (so that a long chain is not a deep tree), macros are nodes of their own and literals are folded.
 */
export type Node = Placed &
  (
    | { readonly op: 'literal'; readonly value: Literal }
    | { readonly op: 'list'; readonly items: readonly Node[] }
    | { readonly op: 'map'; readonly entries: readonly (readonly [Node, Node])[] }
    | { readonly op: 'variable'; readonly name: string }
    | { readonly op: 'select'; readonly operand: Node; readonly field: string }
    | { readonly op: 'index'; readonly operand: Node; readonly key: Node }
    | { readonly op: 'not' | 'negate'; readonly operand: Node }
    | { readonly op: 'and' | 'or'; readonly operands: readonly Node[] }
    | { readonly op: 'binary'; readonly operator: BinaryOperator; readonly left: Node; readonly right: Node }
    | { readonly op: 'conditional'; readonly condition: Node; readonly whenTrue: Node; readonly whenFalse: Node }
    | { readonly op: 'has'; readonly path: Node }
    | { readonly op: 'call'; readonly name: string; readonly receiver: Node | null; readonly args: readonly Node[] }
    | {
        readonly op: 'macro';
        readonly name: MacroName;
        readonly range: Node;
        readonly variable: string;
        readonly body: Node;
        /** Only for `map` with three arguments: which elements are taken. */
        readonly filter: Node | null;
      }
  );

/** The constant key by which a `select` or `index` node goes one level down, or undefined where it is computed. */
export function constantKey(node: Node): string | bigint | undefined {
  if (node.op === 'select') return node.field;
  if (node.op !== 'index' || node.key.op !== 'literal') return undefined;
  const key = node.key.value;
  return typeof key === 'string' || typeof key === 'bigint' ? key : undefined;
}
