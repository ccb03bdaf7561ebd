import type { Finding, RunbookSpec } from '@fettle/contracts';
import { parseSelector } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { DocumentPlaces } from './document-places.js';
import { checkExpression } from './expression-findings.js';
import { finding } from './findings.js';
import { KnownSteps, stepLimits } from './known-steps.js';
import { report, reportRelative, type RunbookContext, type RunbookLookup } from './runbook-context.js';
import { checkPlain, checkTemplates, type Reader } from './step-expressions.js';
import { emptyScope, type StepScope } from './step-scope.js';
import { checkDuration } from './validate-action.js';
import { checkCapacity } from './validate-capacity.js';
import { checkHandlers } from './validate-handlers.js';
import { checkInputsSchema } from './validate-inputs.js';
import { validateGate } from './validate-gate.js';
import { validateRollout } from './validate-rollout.js';
import { validateSteps } from './validate-steps.js';

/** A run may take this long at most: longer ones are several runs. */
const MAX_RUN_TIMEOUT_MS = 30 * 86_400_000;

/** Adds what is wrong with a runbook of right shape. */
export function validateRunbook(
  spec: RunbookSpec,
  places: DocumentPlaces,
  actions: ActionRegistry,
  runbooks: RunbookLookup,
  findings: Finding[],
): void {
  const steps = new KnownSteps(spec, actions);
  const context: RunbookContext = { spec, places, actions, runbooks, steps, findings };
  reportRelative(context, ['spec', 'inputs'], spec.inputs, checkInputsSchema(spec.inputs));
  checkTargets(context);
  validateRollout(spec, places, findings);
  validateGate(context);
  checkDuration(spec.timeout, ['spec', 'timeout'], MAX_RUN_TIMEOUT_MS, 'a run', context);
  checkIds(context);
  if (!areStepsFew(context)) return;
  const end = validateSteps(context);
  checkHandlers(context);
  checkEnd(end, context);
}

function checkTargets(context: RunbookContext): void {
  const { spec, places, steps, findings } = context;
  const first = steps.all.find(({ level, action }) => level === 'target' && action !== undefined);
  const { targets } = spec;
  if (targets === undefined) {
    if (first === undefined) return;
    const message = `"targets" is missing: the step "${first.step.id}" uses ${first.action?.name}, which runs on targets`;
    findings.push(
      finding('targets-required', message, { path: ['spec', 'targets'], position: places.keyAt(['spec']).position }),
    );
    return;
  }
  const place = { places, path: ['spec', 'targets'], offset: 0, source: targets };
  checkExpression(place, findings, () => parseSelector(targets));
  const isUsed = steps.all.some(
    ({ step, level }) => level !== 'run' || ('call' in step && step.call.targets === 'inherit'),
  );
  if (isUsed) return;
  const message = 'no step runs on targets, so "targets" has no effect';
  report(context, 'targets-unused', message, place.path, { ...places.keyAt(place.path), severity: 'warning' });
}

function checkIds(context: RunbookContext): void {
  const { steps, places } = context;
  for (const { step, path } of steps.all) {
    const first = steps.byId.get(step.id);
    if (first === undefined || first.step === step) continue;
    const { file, line, column } = places.valueAt([...first.path, 'id']).position;
    const message = `the id "${step.id}" is given twice; first at ${file}:${line}:${column}; ids name steps for ever`;
    report(context, 'duplicate-step', message, [...path, 'id']);
  }
}

/** What is beyond the limits is not looked at any closer. */
function areStepsFew(context: RunbookContext): boolean {
  const { maxDepth, maxSteps } = stepLimits;
  const deep = context.steps.all.find(({ depth }) => depth > maxDepth);
  if (deep !== undefined) {
    const message = `steps stand inside of each other at most ${maxDepth} levels deep; call another runbook instead`;
    report(context, 'steps-too-deep', message, [...deep.path, 'id']);
  }
  const beyond = context.steps.all[maxSteps];
  if (beyond !== undefined) {
    const message = `a runbook has at most ${maxSteps} steps, those inside of others and of handlers included; this has ${context.steps.all.length}`;
    report(context, 'too-many-steps', message, [...beyond.path, 'id']);
  }
  return deep === undefined && beyond === undefined;
}

/** What is read of the whole run, or taken for it. */
function checkEnd(end: StepScope, context: RunbookContext): void {
  const { spec } = context;
  const reader: Reader = { known: null, scope: end, level: 'run' };
  for (const [name, source] of Object.entries(spec.outputs ?? {})) {
    checkPlain(source, ['spec', 'outputs', name], reader, context, { use: 'value' });
  }
  checkTemplates(spec.summary, ['spec', 'summary'], reader, context);
  checkCapacity(spec.capacity, ['spec', 'capacity'], { ...reader, scope: emptyScope }, context);
}
