import type { Finding, RunbookSpec, ScheduleSpec } from '@fettle/contracts';
import { findExpressions, parseExpression, references } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord, type JsonPath } from '../json.js';
import { closestName } from './closest-name.js';
import type { DocumentPlaces } from './document-places.js';
import { checkExpression } from './expression-findings.js';
import { finding } from './findings.js';
import { exampleNews, notificationInput, notifyActions } from './notification-input.js';
import { exampleScheduleNews, scheduleNotificationInput } from './schedule-notification-input.js';
import { checkAction } from './validate-action.js';

/** Adds what is wrong with the notifications of a runbook of right shape. */
export function validateNotify(
  spec: Pick<RunbookSpec, 'notify'>,
  places: DocumentPlaces,
  actions: ActionRegistry,
  findings: Finding[],
): void {
  for (const [index, { uses, with: given }] of (spec.notify ?? []).entries()) {
    const base: JsonPath = ['spec', 'notify', index];
    if (tellsNobody(uses, base, places, actions, findings)) continue;
    // What the run's news fills in is not missing.
    const input = notificationInput(uses, given, exampleNews);
    checkAction({ uses, with: { ...input } }, true, base, actions, { places, findings });
    checkTemplates(given, [...base, 'with'], places, findings);
  }
}

/** The same of a schedule, whose notifications take no expressions: there may be no run to read. */
export function validateScheduleNotify(
  spec: Pick<ScheduleSpec, 'notify'>,
  places: DocumentPlaces,
  actions: ActionRegistry,
  findings: Finding[],
): void {
  for (const [index, { uses, with: given }] of (spec.notify ?? []).entries()) {
    const base: JsonPath = ['spec', 'notify', index];
    if (tellsNobody(uses, base, places, actions, findings)) continue;
    const input = scheduleNotificationInput(uses, given, exampleScheduleNews);
    checkAction({ uses, with: { ...input } }, true, base, actions, { places, findings });
    for (const path of templatePaths(given, [...base, 'with'])) {
      const message = 'a notification of a schedule is taken as it is: it has no expressions';
      findings.push(finding('invalid-expression', message, { path, ...places.valueAt(path) }));
    }
  }
}

function tellsNobody(
  uses: string,
  base: JsonPath,
  places: DocumentPlaces,
  actions: ActionRegistry,
  findings: Finding[],
): boolean {
  if (!Object.hasOwn(actions, uses) || notifyActions.includes(uses)) return false;
  const path = [...base, 'uses'];
  const message = `"${uses}" tells nobody; a notification uses ${notifyActions.join(' or ')}`;
  const suggestion = closestName(uses, notifyActions);
  findings.push(finding('unknown-action', message, { path, ...places.valueAt(path), suggestion }));
  return true;
}

function templatePaths(value: unknown, path: JsonPath): JsonPath[] {
  if (typeof value === 'string') return value.includes('${{') ? [path] : [];
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  return (members as [string | number, unknown][]).flatMap(([key, member]) => templatePaths(member, [...path, key]));
}

/** A notification reads what the run itself knows: its inputs and its counters, not what its steps returned. */
function checkTemplates(value: unknown, path: JsonPath, places: DocumentPlaces, findings: Finding[]): void {
  if (typeof value === 'string') {
    const whole = { places, path, offset: 0, source: value };
    const found = checkExpression(whole, findings, () => findExpressions(value)) ?? [];
    for (const { source, offset } of found) {
      const place = { places, path, offset, source };
      const expression = checkExpression(place, findings, () => parseExpression(source, 'run'));
      if (expression === null || !references(expression).some((one) => /^steps\b/.test(one))) continue;
      const message = 'a notification reads "inputs" and "run", not what steps returned';
      findings.push(finding('invalid-expression', message, { path, ...places.valueAt(path) }));
    }
    return;
  }
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  for (const [key, member] of members as [string | number, unknown][])
    checkTemplates(member, [...path, key], places, findings);
}
