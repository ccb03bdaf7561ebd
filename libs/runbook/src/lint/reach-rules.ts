import { isActionStep, nestedSteps, type Step } from '@fettle/contracts';
import { isRecord, type JsonPath } from '../json.js';
import {
  constantTruth,
  startsWith,
  stepAt,
  type Draft,
  type LintContext,
  type PlacedStep,
  type Read,
} from './lint-context.js';

/** What is never carried out, never produced, and never read. */
export function* reachRules(context: LintContext): Generator<Draft> {
  const dead = new Map<PlacedStep, Draft>();
  const found: Draft[] = [];
  for (const draft of conditionRules(context, dead)) found.push(draft);
  for (const draft of new Set(dead.values())) found.push(draft);
  yield* found;
  yield* missingOutputs(context, dead);
  yield* unread(context);
}

function* conditionRules({ steps }: LintContext, dead: Map<PlacedStep, Draft>): Generator<Draft> {
  for (const placed of steps) {
    const { step, path } = placed;
    const kill = (prefix: JsonPath, message: string, at: JsonPath): void => {
      const draft: Draft = { code: 'unreachable-step', message, path: at };
      // What is inside of something that is never carried out needs no finding of its own.
      for (const one of steps) if (startsWith(one.path, prefix) && !dead.has(one)) dead.set(one, draft);
    };
    const isDead = dead.has(placed);
    const truth = step.if === undefined ? null : constantTruth(step.if);
    if (!isDead && truth === false)
      kill(path, `"${step.id}" is never carried out: its condition is always false`, [...path, 'if']);
    if (!isDead && truth === true) {
      const message = `the condition of "${step.id}" is always true`;
      yield { code: 'constant-condition', message, path: [...path, 'if'] };
    }
    if (!isDead && truth === 'unknown') {
      const message = `the condition of "${step.id}" reads nothing and has no value: the step always fails`;
      yield { code: 'always-fails', message, path: [...path, 'if'] };
      if (step.onError === 'fail') killAfter(placed, steps, kill);
    }
    if (!isDead) insideOf(placed, kill);
  }
}

type Kill = (prefix: JsonPath, message: string, at: JsonPath) => void;

/** The steps after one that always fails. */
function killAfter({ step, path }: PlacedStep, steps: readonly PlacedStep[], kill: Kill): void {
  const list = path.slice(0, -1);
  const own = path.at(-1);
  for (const one of steps) {
    const index = one.path[list.length];
    const isLater = one.path.length === path.length && startsWith(one.path, list) && typeof index === 'number';
    if (isLater && index > Number(own)) {
      kill(one.path, `"${one.step.id}" is never carried out: "${step.id}" before it always fails`, one.path);
    }
  }
}

function insideOf({ step, path }: PlacedStep, kill: Kill): void {
  if ('forEach' in step && Array.isArray(step.forEach.items) && step.forEach.items.length === 0) {
    kill([...path, 'forEach', 'steps'], `nothing in "${step.id}" is ever carried out: it goes over no items`, [
      ...path,
      'forEach',
      'items',
    ]);
  }
  if (!('choose' in step)) return;
  let taken = false;
  for (const [index, { when }] of step.choose.entries()) {
    const branch = [...path, 'choose', index];
    const truth = when === undefined ? true : constantTruth(when);
    if (taken)
      kill([...branch, 'steps'], `branch ${index + 1} of "${step.id}" is never taken: one before it always is`, branch);
    else if (truth === false) {
      kill([...branch, 'steps'], `branch ${index + 1} of "${step.id}" is never taken: its condition is always false`, [
        ...branch,
        'when',
      ]);
    }
    taken ||= truth === true;
  }
}

function* missingOutputs(context: LintContext, dead: ReadonlyMap<PlacedStep, Draft>): Generator<Draft> {
  const told = new Set<string>();
  for (const read of context.reads) {
    const [variable, id] = read.keys;
    const from = variable === 'steps' && id !== undefined ? context.byId.get(id) : undefined;
    if (id === undefined || from === undefined) continue;
    const reader = stepAt(context, read.path);
    if (reader !== null && dead.has(reader)) continue;
    const key = JSON.stringify([read.path, id]);
    if (told.has(key) || asksBefore(read, id, reader)) continue;
    told.add(key);
    if (dead.has(from)) {
      const message = `an output of "${id}" is read, which is never carried out`;
      yield { code: 'output-never-produced', message, path: read.path };
      continue;
    }
    const why = whyMissing(from, reader);
    if (why !== null) {
      const message = `an output of "${id}" is read, which ${why}; ask has(steps.${id}...) first`;
      yield { code: 'output-may-be-missing', message, path: read.path };
    }
  }
}

/** Whether the presence of the output is asked for: in the expression itself, or in a condition around it. */
function asksBefore(read: Read, id: string, reader: PlacedStep | null): boolean {
  const asks = new RegExp(`\\bhas\\s*\\(\\s*steps\\.${id}\\b`);
  if (asks.test(read.source)) return true;
  if (reader === null) return false;
  return [reader, ...reader.around].some(({ step, path }) => {
    if (step.if !== undefined && asks.test(step.if)) return true;
    if (!('choose' in step)) return false;
    const branch = step.choose.find((_one, index) => startsWith(read.path, [...path, 'choose', index]));
    return branch?.when !== undefined && asks.test(branch.when);
  });
}

/** Why a step may not have yielded anything where another one reads it; null: it has. */
function whyMissing(from: PlacedStep, reader: PlacedStep | null): string | null {
  const { step, path } = from;
  const isInside = (prefix: JsonPath): boolean => reader !== null && startsWith(reader.path, prefix);
  if (isInside(path)) return null;
  const sameCondition = reader !== null && [reader, ...reader.around].some((one) => one.step.if === step.if);
  if (step.if !== undefined && !sameCondition) return 'is skipped where its condition is false';
  if (step.onError !== 'fail') return 'may fail and be passed over';
  for (const { step: outer, path: at } of from.around) {
    if (isInside(listAt(path, at, outer))) continue;
    if (outer.if !== undefined) return `stands in "${outer.id}", which has a condition`;
    if ('choose' in outer) return `stands in a branch of "${outer.id}"`;
    if ('try' in outer && (path[at.length] === 'catch' || outer.catch !== undefined))
      return `stands in "${outer.id}", which catches failures`;
    if (outer.onError !== 'fail') return `stands in "${outer.id}", which may fail and be passed over`;
  }
  return from.handler === null || reader?.handler === from.handler ? null : `stands in the handler "${from.handler}"`;
}

/** The list inside of a step that a path goes through. */
function listAt(path: JsonPath, at: JsonPath, outer: Step): JsonPath {
  const list = nestedSteps(outer).find((one) => startsWith(path, [...at, ...one.path]));
  return list === undefined ? at : [...at, ...list.path];
}

function* unread({ document, steps, reads }: LintContext): Generator<Draft> {
  const { spec } = document;
  const whole = new Set(reads.filter(({ keys }) => keys.length === 1).map(({ keys }) => keys[0]));
  const readOutputs = new Set(
    reads.flatMap(({ keys: [variable, id, name] }) => (variable === 'steps' ? [`${id ?? ''}.${name ?? ''}`] : [])),
  );
  for (const { step, path } of steps) {
    const outputs = isActionStep(step) || 'outputs' in step ? (step.outputs ?? {}) : {};
    for (const name of Object.keys(outputs)) {
      const isRead = whole.has('steps') || readOutputs.has(`${step.id}.${name}`) || readOutputs.has(`${step.id}.`);
      // A loop passes on what its steps declare.
      const isGathered = steps.some(
        (one) => 'forEach' in one.step && one.step.outputs !== undefined && startsWith(path, one.path),
      );
      if (isRead || isGathered) continue;
      yield {
        code: 'output-never-read',
        message: `nothing reads the output "${name}" of "${step.id}"`,
        path: [...path, 'outputs', name],
        atKey: true,
      };
    }
  }
  const readInputs = new Set(
    reads.flatMap(({ keys: [variable, name] }) => (variable === 'inputs' && name !== undefined ? [name] : [])),
  );
  const { properties } = spec.inputs;
  for (const name of isRecord(properties) && !whole.has('inputs') ? Object.keys(properties) : []) {
    if (readInputs.has(name)) continue;
    yield {
      code: 'unused-input',
      message: `nothing reads the input "${name}"`,
      path: ['spec', 'inputs', 'properties', name],
      atKey: true,
    };
  }
  for (const name of Object.keys(spec.handlers ?? {})) {
    if (steps.some(({ step }) => step.onError === name)) continue;
    yield {
      code: 'unused-handler',
      message: `no step names the handler "${name}"`,
      path: ['spec', 'handlers', name],
      atKey: true,
    };
  }
}
