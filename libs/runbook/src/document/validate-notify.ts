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
  // What the run's news fills in is not missing.
  const filledIn = (uses: string, given: GivenInput): object => notificationInput(uses, given, exampleNews);
  validateEach(spec.notify, filledIn, { places, actions, findings }, (given, path) =>
    checkTemplates(given, path, places, findings),
  );
}

/** The same of a schedule, whose notifications take no expressions: there may be no run to read. */
export function validateScheduleNotify(
  spec: Pick<ScheduleSpec, 'notify'>,
  places: DocumentPlaces,
  actions: ActionRegistry,
  findings: Finding[],
): void {
  const filledIn = (uses: string, given: GivenInput): object =>
    scheduleNotificationInput(uses, given, exampleScheduleNews);
  validateEach(spec.notify, filledIn, { places, actions, findings }, (given, whole) => {
    for (const path of templatePaths(given, whole)) {
      const message = 'a notification of a schedule is taken as it is: it has no expressions';
      findings.push(finding('invalid-expression', message, { path, ...places.valueAt(path) }));
    }
  });
}

type GivenInput = NonNullable<RunbookSpec['notify']>[number]['with'];

interface Checked {
  readonly places: DocumentPlaces;
  readonly actions: ActionRegistry;
  readonly findings: Finding[];
}

function validateEach(
  notify: readonly { readonly uses: string; readonly with: GivenInput }[] | undefined,
  filledIn: (uses: string, given: GivenInput) => object,
  { places, actions, findings }: Checked,
  checkText: (given: GivenInput, path: JsonPath) => void,
): void {
  for (const [index, { uses, with: given }] of (notify ?? []).entries()) {
    const base: JsonPath = ['spec', 'notify', index];
    if (tellsNobody(uses, base, { places, actions, findings })) continue;
    checkAction({ uses, with: { ...filledIn(uses, given) } }, true, base, actions, { places, findings });
    checkText(given, [...base, 'with']);
  }
}

function tellsNobody(uses: string, base: JsonPath, { places, actions, findings }: Checked): boolean {
  if (!Object.hasOwn(actions, uses) || notifyActions.includes(uses)) return false;
  const path = [...base, 'uses'];
  const message = `"${uses}" tells nobody; a notification uses ${notifyActions.join(' or ')}`;
  const suggestion = closestName(uses, notifyActions);
  findings.push(finding('unknown-action', message, { path, ...places.valueAt(path), suggestion }));
  return true;
}

function templatePaths(value: unknown, path: JsonPath): JsonPath[] {
  if (typeof value === 'string') return value.includes('${{') ? [path] : [];
  return membersOf(value).flatMap(([key, member]) => templatePaths(member, [...path, key]));
}

function membersOf(value: unknown): (readonly [string | number, unknown])[] {
  if (Array.isArray(value)) return [...value.entries()];
  return isRecord(value) ? Object.entries(value) : [];
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
  for (const [key, member] of membersOf(value)) checkTemplates(member, [...path, key], places, findings);
}
