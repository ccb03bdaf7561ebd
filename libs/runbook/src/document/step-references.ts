import type { ActionContract, Finding, ActionStep } from '@fettle/contracts';
import { findReferences, type Expression, type Reference } from '@fettle/expression';
import { z } from 'zod';
import { isRecord } from '../json.js';
import { closestName } from './closest-name.js';
import { expressionFinding, type ExpressionPlace } from './expression-findings.js';

/** A step of a runbook with its action, where that is known. */
export interface KnownStep {
  readonly step: ActionStep;
  readonly index: number;
  readonly action: ActionContract | undefined;
}

export interface ReferenceScope {
  readonly steps: readonly KnownStep[];
  /** The step the expression belongs to. */
  readonly reader: KnownStep;
  /** `outputs`: reads `result` only. */
  readonly use: 'if' | 'with' | 'outputs';
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** What an expression of a step may not read, although its type is right: steps that have not ended, unknown inputs. */
export function referenceFindings(
  expression: Expression,
  scope: ReferenceScope,
  place: ExpressionPlace,
): readonly Finding[] {
  return findReferences(expression).flatMap((reference) => {
    const problem = referenceProblem(reference, scope);
    if (problem === null) return [];
    const { code, message, suggestion } = problem;
    const { position, text } = wholeReference(reference, place.source);
    return [expressionFinding(code, message, place, position, { text, suggestion })];
  });
}

/** The place of a reference's first key, where the keys are written with dots; that of its last key otherwise. */
function wholeReference(
  { keys, path, position }: Reference,
  source: string,
): Pick<Reference, 'position'> & { text: string } {
  const last = keys.at(-1) ?? '';
  const { line, column } = position;
  const start = column - (path.length - last.length);
  const isDotted = source.split('\n')[line - 1]?.slice(start - 1, start - 1 + path.length) === path;
  return isDotted && start >= 1 ? { position: { line, column: start }, text: path } : { position, text: last };
}

interface Problem {
  readonly code: string;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

function referenceProblem(reference: Reference, scope: ReferenceScope): Problem | null {
  const [variable = '', name] = reference.keys;
  if (scope.use === 'outputs') {
    if (variable === 'result') return null;
    const message = `"outputs" reads only "result", what the action returned, not "${variable}"`;
    return { code: 'invalid-expression', message, suggestion: 'result' };
  }
  if (variable === 'result') {
    return {
      code: 'invalid-expression',
      message: '"result" is known only in "outputs"; earlier steps are read as steps.<id>.<name>',
    };
  }
  if (variable === 'inputs' && name !== undefined) return inputProblem(name, scope.inputs);
  if (variable !== 'steps') return null;
  if (name === undefined) {
    return { code: 'unknown-step', message: 'name the step that is read: steps.<id>.<name>' };
  }
  return stepProblem(name, reference.keys[2], scope);
}

function inputProblem(name: string, schema: Readonly<Record<string, unknown>>): Problem | null {
  const properties = isRecord(schema['properties']) ? Object.keys(schema['properties']) : [];
  // Where the schema takes other members too, the input may well be given.
  const isClosed = schema['additionalProperties'] === false && !('patternProperties' in schema) && !('$ref' in schema);
  const isMentioned = properties.includes(name) || 'allOf' in schema || 'anyOf' in schema || 'oneOf' in schema;
  if (isMentioned) return null;
  const suggestion = closestName(name, properties);
  // An open schema with a close name is a slip as well: nobody would declare `path` and read `pth`.
  if (!isClosed && suggestion === undefined) return null;
  const known =
    properties.length === 0 ? 'the runbook has none' : `known inputs are ${properties.slice(0, 20).join(', ')}`;
  return { code: 'unknown-input', message: `there is no input "${name.slice(0, 60)}"; ${known}`, suggestion };
}

function stepProblem(id: string, output: string | undefined, { steps, reader }: ReferenceScope): Problem | null {
  const read = steps.find(({ step }) => step.id === id);
  const isControl = reader.action?.scope === 'control';
  const readable = steps.filter(
    ({ index, action }) => index < reader.index && (!isControl || action?.scope === 'control'),
  );
  const suggestion = closestName(
    id,
    readable.map(({ step }) => step.id),
  );
  if (read === undefined) return { code: 'unknown-step', message: `there is no step "${id.slice(0, 60)}"`, suggestion };
  if (isControl && read.action?.scope === 'target') {
    const message = `"${reader.step.id}" runs once for the run and cannot read the output of "${id}", which differs by target; it may read run.counts`;
    return { code: 'target-output-at-run-level', message };
  }
  if (read.index >= reader.index) {
    const why = read.index === reader.index ? 'is this step itself' : 'comes later';
    return { code: 'unknown-step', message: `the step "${id}" ${why}; only earlier steps can be read`, suggestion };
  }
  if (output === undefined) return null;
  const outputs = outputNames(read);
  if (outputs === null || outputs.includes(output)) return null;
  const known = outputs.length === 0 ? 'it has none' : `known outputs are ${outputs.join(', ')}`;
  const message = `the step "${id}" has no output "${output.slice(0, 60)}"; ${known}`;
  return { code: 'unknown-output', message, suggestion: closestName(output, outputs) };
}

/** What later steps can read of a step; null where it is not known beforehand. */
function outputNames({ step, action }: KnownStep): readonly string[] | null {
  if (step.outputs !== undefined) return Object.keys(step.outputs);
  return action?.output instanceof z.ZodObject ? Object.keys(action.output.shape) : null;
}
