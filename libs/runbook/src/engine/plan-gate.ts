import type { PlannedWaveGate } from '@fettle/contracts';
import { compileStep } from './decide-step.js';
import type { Frame, Walker } from './plan-frame.js';
import { planStep } from './plan-step.js';

/** What has to hold between two waves of a runbook, with what the look at it would do; null: nothing. */
export function planWaveGate(walk: Walker, frame: Frame): PlannedWaveGate | null {
  const { gate, waves } = frame.spec.rollout;
  if (gate === undefined || waves === undefined) return null;
  const { require = null, uses, with: input = {}, condition = null, every, timeout, consecutive } = gate;
  if (uses === undefined) return { require };
  const action = walk.action(uses, 'gate');
  const compiled = compileStep({ with: input }, 'run');
  // Nothing but inputs and the run itself can be read here, in whatever place the segment stands.
  const known = walk.runLevel({ ...frame, item: null });
  const { outcome, credentials } = planStep({ action, with: input, compiled }, known, { assetId: '', name: '' });
  for (const credential of credentials) walk.opens(credential, 'gate');
  return { require, condition, every: String(every), timeout: String(timeout), consecutive, look: outcome };
}
