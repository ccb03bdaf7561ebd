import { targetStates, type ActionContract, type Finding } from '@fettle/contracts';
import { findReferences, type Expression, type Reference } from '@fettle/expression';
import { formatPath, isRecord, type JsonPath } from '../json.js';
import { closestName } from './closest-name.js';
import { expressionFinding, type ExpressionPlace } from './expression-findings.js';
import { closedInputs } from './inputs-schema.js';
import { outputMembers, outputNames, resultNames, type KnownStep, type KnownSteps } from './known-steps.js';
import type { RunbookLookup } from './runbook-context.js';
import type { StepScope } from './step-scope.js';

export interface ReferenceScope {
  readonly steps: KnownSteps;
  /** The step the expression belongs to; null: the runbook itself. */
  readonly known: KnownStep | null;
  readonly scope: StepScope;
  readonly level: 'run' | 'target';
  /** `outputs`: reads `result` only. */
  readonly use: 'value' | 'outputs';
  /** The action whose `result` is read, where it is not that of the step. */
  readonly looked?: ActionContract | undefined;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly runbooks: RunbookLookup;
}

/** What an expression may not read where it stands, although its type is right: steps that have not ended, unknown inputs. */
export function referenceFindings(
  expression: Expression,
  scope: ReferenceScope,
  place: ExpressionPlace,
): readonly Finding[] {
  return findReferences(expression).flatMap((reference) => {
    const problem = referenceProblem(reference, expression.source, scope);
    if (problem === null) return [];
    const { code, message, suggestion, severity } = problem;
    const { position, text } = wholeReference(reference, place.source);
    const found = expressionFinding(code, message, place, position, { text, suggestion });
    return [severity === undefined ? found : { ...found, severity }];
  });
}

/** The place of a reference's first key, where the keys are written with dots; that of its last key otherwise. */
export function wholeReference(
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
  readonly severity?: Finding['severity'] | undefined;
}

function referenceProblem(reference: Reference, source: string, scope: ReferenceScope): Problem | null {
  const [variable = '', name, member] = reference.keys;
  if (scope.use === 'outputs') {
    if (variable === 'result') return name === undefined ? null : resultProblem(name, scope);
    const message = `this is read of "result", what the step came to, and not of "${variable}"`;
    return { code: 'invalid-expression', message, suggestion: 'result' };
  }
  switch (variable) {
    case 'result': {
      const message = '"result" is known only in "outputs"; earlier steps are read as steps.<id>.<name>';
      return { code: 'invalid-expression', message };
    }
    case 'inputs':
      return name === undefined ? null : inputProblem(name, scope.inputs);
    case 'run':
      return name === 'counts' ? countsProblem(member, scope) : null;
    case 'item':
      return itemProblem(name, scope);
    case 'error':
      return errorProblem(name, scope);
    case 'steps':
      if (name !== undefined) return stepProblem(name, member, source, scope);
      return { code: 'unknown-step', message: 'name the step that is read: steps.<id>.<name>' };
    default:
      return null;
  }
}

function inputProblem(name: string, schema: Readonly<Record<string, unknown>>): Problem | null {
  const properties = isRecord(schema['properties']) ? Object.keys(schema['properties']) : [];
  // Where the schema takes other members too, the input may well be given.
  const isClosed =
    closedInputs(schema)['additionalProperties'] === false && !('patternProperties' in schema) && !('$ref' in schema);
  const isMentioned = properties.includes(name) || 'allOf' in schema || 'anyOf' in schema || 'oneOf' in schema;
  if (isMentioned) return null;
  const suggestion = closestName(name, properties);
  // An open schema with a close name is a slip as well: nobody would declare `path` and read `pth`.
  if (!isClosed && suggestion === undefined) return null;
  const known =
    properties.length === 0 ? 'the runbook has none' : `known inputs are ${properties.slice(0, 20).join(', ')}`;
  return { code: 'unknown-input', message: `there is no input "${name.slice(0, 60)}"; ${known}`, suggestion };
}

function countsProblem(state: string | undefined, { level }: ReferenceScope): Problem | null {
  if (level === 'target') {
    const message = 'a step on targets cannot read "run.counts", which changes while it runs; ask in a step of the run';
    return { code: 'counts-at-target-level', message };
  }
  if (state === undefined || (targetStates as readonly string[]).includes(state)) return null;
  const message = `targets have no state "${state.slice(0, 60)}"; they are ${targetStates.join(', ')}`;
  return { code: 'invalid-expression', message, suggestion: closestName(state, targetStates) };
}

function itemProblem(name: string | undefined, { scope }: ReferenceScope): Problem | null {
  const known = [...scope.items];
  if (known.length === 0) return { code: 'unknown-item', message: '"item" is known only inside of "forEach"' };
  if (name === undefined || scope.items.has(name)) return null;
  const list = known.map((one) => `item.${one}`).join(', ');
  const message = `there is no item "${name.slice(0, 60)}" here; known is ${list}`;
  return { code: 'unknown-item', message, suggestion: closestName(name, known) };
}

const errorMembers = ['code', 'message', 'step'];

function errorProblem(name: string | undefined, { scope }: ReferenceScope): Problem | null {
  if (!scope.hasError) {
    return { code: 'error-outside-catch', message: '"error" is known only inside of a "catch" and of handlers' };
  }
  if (name === undefined || errorMembers.includes(name)) return null;
  const message = `an error has no member "${name.slice(0, 60)}"; it has ${errorMembers.join(', ')}`;
  return { code: 'invalid-expression', message, suggestion: closestName(name, errorMembers) };
}

function stepProblem(id: string, output: string | undefined, source: string, scope: ReferenceScope): Problem | null {
  const { steps, known: reader, scope: inside } = scope;
  const read = steps.byId.get(id);
  const readable = [...inside.readable.values()].filter(
    ({ known }) => scope.level === 'target' || known.level !== 'target',
  );
  const suggestion = closestName(
    id,
    readable.map(({ known }) => known.step.id),
  );
  if (read === undefined) return { code: 'unknown-step', message: `there is no step "${id.slice(0, 60)}"`, suggestion };
  if (scope.level === 'run' && read.level === 'target') {
    const who = reader === null ? 'this' : `"${reader.step.id}"`;
    const message = `${who} is of the run level and cannot read the output of "${id}", which differs by target; it may read run.counts`;
    return { code: 'target-output-at-run-level', message };
  }
  const found = inside.readable.get(id);
  if (found === undefined) {
    const message = `the step "${id}" ${whyNot(reader, read)}`;
    return { code: 'unknown-step', message };
  }
  return outputProblem(read, output, scope) ?? maybeProblem(found.maybe, id, source, inside);
}

function outputProblem(read: KnownStep, output: string | undefined, scope: ReferenceScope): Problem | null {
  if (output === undefined) return null;
  const { id } = read.step;
  const outputs = outputNames(read, (step) => calledOutputs(step, scope));
  if (outputs === null || outputs.includes(output)) return null;
  const known = outputs.length === 0 ? noOutputs(read) : `known outputs are ${outputs.join(', ')}`;
  const message = `the step "${id}" has no output "${output.slice(0, 60)}"; ${known}`;
  return { code: 'unknown-output', message, suggestion: closestName(output, outputs) };
}

function resultProblem(name: string, scope: ReferenceScope): Problem | null {
  const { known, looked } = scope;
  const names = known === null ? outputMembers(looked) : resultNames(known, (step) => calledOutputs(step, scope));
  if (names === null || names.includes(name)) return null;
  const has = names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`;
  const message = `the result has no member "${name.slice(0, 60)}"; ${has}`;
  return { code: 'unknown-output', message, suggestion: closestName(name, names) };
}

function noOutputs({ step }: KnownStep): string {
  return 'forEach' in step ? 'say with "outputs" what is read of its iterations' : 'it has none';
}

function calledOutputs(step: KnownStep['step'], { runbooks }: ReferenceScope): readonly string[] | null {
  if (!('call' in step) || step.call.version !== undefined) return null;
  const called = runbooks.find(step.call.runbook);
  return called === undefined ? null : Object.keys(called.outputs ?? {});
}

/** A value that is there only on some ways is asked for first, in the expression or in a condition around it. */
function maybeProblem(maybe: string | null, id: string, source: string, { guards }: StepScope): Problem | null {
  if (maybe === null) return null;
  const asked = new RegExp(`\\bhas\\(\\s*steps\\.${id}\\b`);
  if ([source, ...guards].some((text) => asked.test(text))) return null;
  const message = `the output of "${id}" may be missing, because ${maybe}; ask first: has(steps.${id}.<name>)`;
  return { code: 'output-may-be-missing', message, severity: 'warning' };
}

/** Why a step cannot be read from where the reader stands. */
function whyNot(reader: KnownStep | null, read: KnownStep): string {
  if (read.path[1] === 'handlers' && reader?.path[2] !== read.path[2]) {
    return 'belongs to a handler, and only the handler itself can read it';
  }
  if (reader === null) return hiddenIn(read.path);
  if (read === reader) return 'is this step itself; only earlier steps can be read';
  const a = reader.path;
  const b = read.path;
  const at = b.findIndex((part, index) => part !== a[index]);
  if (at < 0) return 'is around this one, and only steps that have ended can be read';
  // Below the step that both stand in, the names of its members tell them apart.
  if (b[at - 1] === 'parallel' && typeof b[at] === 'string') {
    return 'is in another branch, which goes on beside this one';
  }
  if (b[at - 1] === 'choose' && b[at + 1] === 'steps')
    return 'is in another branch, and only one of them is carried out';
  const [mine, its] = [a[at], b[at]];
  if (typeof mine === 'number' && typeof its === 'number' && its < mine) return hiddenIn(b.slice(at));
  return 'comes later; only earlier steps can be read';
}

function hiddenIn(path: JsonPath): string {
  return path.includes('forEach')
    ? 'is inside of a "forEach", whose own "outputs" say what is read of its iterations'
    : `cannot be read from here (${formatPath(path)})`;
}
