import type { WaveGate } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { report, type RunbookContext } from './runbook-context.js';
import { checkCondition, checkTemplates, type Reader } from './step-expressions.js';
import { emptyScope } from './step-scope.js';
import { checkLook } from './validate-flow.js';

/** Adds what is wrong with what has to hold between two waves. */
export function validateGate(context: RunbookContext): void {
  const { gate, waves = [] } = context.spec.rollout;
  if (gate === undefined) return;
  const path: JsonPath = ['spec', 'rollout', 'gate'];
  if (waves.length < 2) {
    const message = '"gate" has no effect without several waves';
    report(context, 'rollout-unused', message, path, { severity: 'warning' });
  }
  // It stands between the waves of every segment, so it reads what can be read everywhere.
  const reader: Reader = { known: null, scope: emptyScope, level: 'run' };
  checkCondition(gate.require, [...path, 'require'], reader, context);
  const { uses, with: input = {}, condition } = gate;
  if (uses === undefined || condition === undefined) return checkParts(gate, path, context);
  checkLook({ uses, with: input, condition }, 'gate', path, reader, context);
}

/** Which of its members are missing. */
function checkParts({ require, ...gate }: WaveGate, path: JsonPath, context: RunbookContext): void {
  const incomplete = (message: string, at: JsonPath): void => report(context, 'gate-incomplete', message, at);
  if (gate.uses !== undefined) {
    incomplete('"condition" is missing: what of the "result" of the action has to hold', path);
    return checkTemplates(
      gate.with ?? {},
      [...path, 'with'],
      { known: null, scope: emptyScope, level: 'run' },
      context,
    );
  }
  const idle = (['condition', 'with'] as const).filter((member) => gate[member] !== undefined);
  for (const member of idle) {
    incomplete(`"${member}" belongs to an action: name it in "uses", or say what has to hold in "require"`, [
      ...path,
      member,
    ]);
  }
  if (require === undefined && idle.length === 0) {
    incomplete('nothing has to hold: give "require", or an action in "uses" with its "condition"', path);
  }
}
