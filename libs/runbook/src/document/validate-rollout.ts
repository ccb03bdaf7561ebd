import { durationMs, type Finding, type RunbookSpec } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { compileOrder } from '../rollout/order-targets.js';
import { compareShares, isEverything } from '../rollout/wave-arithmetic.js';
import { checkExpression } from './expression-findings.js';
import { finding, type FindingOptions } from './findings.js';
import type { DocumentPlaces } from './document-places.js';

const base: JsonPath = ['spec', 'rollout'];

/** Adds what is wrong with the rollout of a runbook of right shape. */
export function validateRollout(spec: RunbookSpec, places: DocumentPlaces, findings: Finding[]): void {
  const { waves, soak, strict, maxFailures, orderBy } = spec.rollout;
  const report = (code: string, message: string, path: JsonPath, options: FindingOptions = {}): void => {
    findings.push(finding(code, message, { path, ...places.valueAt(path), ...options }));
  };
  if (waves !== undefined) checkWaves(waves, report);
  if (soak !== undefined) checkSoak(spec, durationMs(soak), report);
  else checkGateTime(spec, 0, report);
  if (strict === true && maxFailures === undefined) {
    const message = '"strict" has no effect without "maxFailures"';
    report('rollout-unused', message, [...base, 'strict'], { severity: 'warning' });
  }
  if (orderBy === undefined) return;
  const place = { places, path: [...base, 'orderBy'], offset: 0, source: orderBy };
  const order = checkExpression(place, findings, () => compileOrder(orderBy));
  if (order === null || !['list', 'map', 'asset', 'null'].includes(order.type.kind)) return;
  report('invalid-expression', `targets cannot be ordered by a ${order.type.kind}`, place.path);
}

type Report = (code: string, message: string, path: JsonPath, options?: FindingOptions) => void;

function checkWaves(waves: NonNullable<RunbookSpec['rollout']['waves']>, report: Report): void {
  waves.forEach((wave, index) => {
    const path = [...base, 'waves', index];
    if (wave === 0 || /^0+(\.0*)?%$/.test(String(wave))) {
      report('invalid-value', `item ${index + 1} of "waves" must be more than 0`, path);
    }
    // A number and a percentage compare only once the targets are known; a wave that adds none vanishes then.
    const earlier = waves.slice(0, index).find((other) => (compareShares(other, wave) ?? 0) > 0);
    if (earlier === undefined) return;
    const message = `waves are cumulative, so they must not decrease: ${wave} comes after ${earlier}`;
    report('waves-decrease', message, path);
  });
  const last = waves.at(-1)!;
  if (isEverything(last)) return;
  const message = `the last wave must be "100%", so that the runbook says what becomes of the targets beyond ${last}`;
  report('waves-incomplete', message, [...base, 'waves', waves.length - 1], { suggestion: '100%' });
}

function checkSoak(spec: RunbookSpec, soakMs: number, report: Report): void {
  const { waves } = spec.rollout;
  const path = [...base, 'soak'];
  if (waves === undefined || waves.length < 2) {
    report('rollout-unused', '"soak" has no effect without several waves', path, { severity: 'warning' });
    return;
  }
  const waitMs = (waves.length - 1) * soakMs;
  const timeoutMs = durationMs(spec.timeout);
  checkGateTime(spec, soakMs, report);
  if (waitMs < timeoutMs) return;
  const message = `the waits between ${waves.length} waves come to ${waitMs / 1000} s, and the run may take ${timeoutMs / 1000} s`;
  report('soak-too-long', message, path);
}

/** A gate that may look for longer than the run may take never stays closed: the run times out before. */
function checkGateTime({ rollout, timeout }: RunbookSpec, soakMs: number, report: Report): void {
  const { gate, waves = [] } = rollout;
  if (gate?.uses === undefined || waves.length < 2) return;
  const [gateMs, timeoutMs] = [durationMs(gate.timeout), durationMs(timeout)];
  if (soakMs + gateMs < timeoutMs || soakMs >= timeoutMs) return;
  const message = `the gate may look for ${gateMs / 1000} s after a wait of ${soakMs / 1000} s, and the run may take ${timeoutMs / 1000} s: it would time out before the gate is found closed`;
  report('gate-too-long', message, [...base, 'gate', 'timeout'], { severity: 'warning' });
}
