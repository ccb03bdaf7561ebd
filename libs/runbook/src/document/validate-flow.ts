import {
  durationMs,
  type ActionContract,
  type ActionStep,
  type ApprovalStep,
  type CallStep,
  type ChooseStep,
  type FlowStep,
  type ForEachStep,
  type WaitStep,
  walkSteps,
} from '@fettle/contracts';
import { parseSelector } from '@fettle/expression';
import { formatPath, type JsonPath } from '../json.js';
import { closestName } from './closest-name.js';
import { checkExpression } from './expression-findings.js';
import { dynamicPaths, report, reportRelative, type RunbookContext } from './runbook-context.js';
import { checkCondition, checkOutputs, checkPlain, checkTemplates, type Reader } from './step-expressions.js';
import { checkAction } from './validate-action.js';
import { checkInputsSchema, validateInputs } from './validate-inputs.js';

/** What is to be said of flow steps themselves; the steps inside of them are looked at by the walk. */
export class FlowChecks {
  readonly #context: RunbookContext;

  constructor(context: RunbookContext) {
    this.#context = context;
  }

  check(step: FlowStep, reader: Reader): void {
    const path = reader.known?.path ?? [];
    if ('choose' in step) this.#choose(step, path, reader);
    if ('forEach' in step) this.#forEach(step, path, reader);
    if ('call' in step) this.#call(step, path, reader);
    if ('approval' in step) this.#approval(step, path, reader);
    if ('wait' in step) this.#wait(step, path, reader);
    if ('outputs' in step) checkOutputs(step.outputs, path, reader, this.#context);
  }

  #choose({ choose }: ChooseStep, path: JsonPath, reader: Reader): void {
    for (const [index, { when }] of choose.entries()) {
      const at = [...path, 'choose', index];
      checkCondition(when, [...at, 'when'], reader, this.#context);
      if (when !== undefined || index === choose.length - 1) continue;
      report(this.#context, 'choose-order', 'a branch without "when" is always taken, so it must be the last one', at);
    }
  }

  #forEach({ forEach: { items, as } }: ForEachStep, path: JsonPath, reader: Reader): void {
    const at = [...path, 'forEach', 'items'];
    if (reader.scope.items.has(as)) {
      const message = `"item.${as}" is that of the "forEach" around; choose another name`;
      report(this.#context, 'item-shadowed', message, [...path, 'forEach', 'as']);
    }
    if (typeof items !== 'string') return checkTemplates(items, at, reader, this.#context);
    const expression = checkPlain(items, at, reader, this.#context, { use: 'value' });
    if (expression === null || ['list', 'dyn'].includes(expression.type.kind)) return;
    report(this.#context, 'for-each-items', `items must be a list, this is a ${expression.type.kind}`, at);
  }

  #call({ call }: CallStep, path: JsonPath, reader: Reader): void {
    const { places, findings, spec, runbooks } = this.#context;
    const at = [...path, 'call'];
    checkTemplates(call.inputs, [...at, 'inputs'], reader, this.#context);
    const { on } = call;
    if (on !== undefined) {
      const place = { places, path: [...at, 'on'], offset: 0, source: on };
      checkExpression(place, findings, () => parseSelector(on));
    }
    if (call.targets === 'inherit' && spec.targets === undefined) {
      const message = 'the runbook has no "targets" that a called one could inherit';
      report(this.#context, 'targets-required', message, [...at, 'targets']);
    }
    const circle = this.#callCircle(call.runbook);
    if (circle !== null) {
      const message = `the call comes back to this runbook: ${circle.join(' -> ')}`;
      report(this.#context, 'call-cycle', message, [...at, 'runbook']);
      return;
    }
    const called = runbooks.find(call.runbook);
    if (called === undefined) {
      const message = `there is no runbook "${call.runbook}" in these files, so the call is not checked before the run`;
      report(this.#context, 'unknown-runbook', message, [...at, 'runbook'], { severity: 'warning' });
    } else if (call.version === undefined) this.#callInputs(call, called, at);
  }

  /** The names on the way back to this runbook, as far as the documents at hand tell. */
  #callCircle(first: string): readonly string[] | null {
    const { name, find } = this.#context.runbooks;
    const seen = new Set<string>();
    const visit = (called: string, via: readonly string[]): readonly string[] | null => {
      if (called === name) return [...via, called];
      if (seen.has(called)) return null;
      seen.add(called);
      for (const next of calledBy(find(called))) {
        const found = visit(next, [...via, called]);
        if (found !== null) return found;
      }
      return null;
    };
    return visit(first, [name]);
  }

  #callInputs(
    call: CallStep['call'],
    called: NonNullable<ReturnType<RunbookContext['runbooks']['find']>>,
    at: JsonPath,
  ): void {
    const dynamic = dynamicPaths(call.inputs, ['inputs']).map(formatPath);
    const found = validateInputs(called, call.inputs).findings.filter(({ code, path = '', message }) => {
      if (code !== 'invalid-inputs') return false;
      const isBelow = dynamic.some((inside) => path === inside || path.startsWith(`${inside}.`));
      // What is said of a value that holds an expression may be mended by it; which members there are is constant.
      const isAround = dynamic.some((inside) => inside.startsWith(path));
      return !isBelow && (!isAround || /is missing$|lacks |has no (input|member) /.test(message));
    });
    const relative = found.map((one) => ({ ...one, path: (one.path ?? '').replace(/^inputs\.?/, '') }));
    const named = relative.map(({ path, ...one }) => (path === '' ? one : { ...one, path }));
    reportRelative(this.#context, [...at, 'inputs'], call.inputs, named);
  }

  #approval({ approval }: ApprovalStep, path: JsonPath, reader: Reader): void {
    const at = [...path, 'approval'];
    const { escalate, quorum, expires } = approval;
    checkTemplates(approval.message, [...at, 'message'], reader, this.#context);
    for (const [who, where] of [
      [approval, at],
      [escalate, [...at, 'escalate']],
    ] as const) {
      if (who === undefined || who.roles.length + who.principals.length > 0) continue;
      report(this.#context, 'approval-nobody', 'nobody may decide: name "roles" or "principals"', where);
    }
    const roles = [...approval.roles, ...(escalate?.roles ?? [])];
    const named = new Set([...approval.principals, ...(escalate?.principals ?? [])]);
    if (roles.length === 0 && named.size > 0 && quorum > named.size) {
      const message = `${quorum} people have to approve, and only ${named.size} may`;
      report(this.#context, 'approval-quorum', message, [...at, 'quorum']);
    }
    if (escalate === undefined || durationMs(escalate.after) < durationMs(expires)) return;
    const message = `the approval expires after ${String(expires)}, before anybody else is asked`;
    report(this.#context, 'escalation-too-late', message, [...at, 'escalate', 'after']);
  }

  #wait(step: WaitStep, path: JsonPath, reader: Reader): void {
    const { wait } = step;
    const at = [...path, 'wait'];
    if ('duration' in wait) {
      if (durationMs(wait.duration) < durationMs(this.#context.spec.timeout)) return;
      const message = `the wait takes longer than the run, which may take ${String(this.#context.spec.timeout)}`;
      report(this.#context, 'wait-too-long', message, [...at, 'duration']);
    } else if ('until' in wait) this.#until(wait.until, [...at, 'until'], reader);
    else if ('signal' in wait) {
      reportRelative(this.#context, [...at, 'payload'], wait.payload, checkInputsSchema(wait.payload, 'payload'));
    } else checkLook(wait, 'wait', at, reader, this.#context);
  }

  #until(until: string, path: JsonPath, reader: Reader): void {
    if (until.includes('${{')) return checkTemplates(until, path, reader, this.#context);
    if (isMoment(until)) return;
    const message = '"until" must be a moment with offset as RFC 3339 writes it, such as 2026-03-01T02:30:00+01:00';
    report(this.#context, 'invalid-value', message, path);
  }
}

/** An action that is repeated until a condition over its result holds, at `at`. */
export function checkLook(
  look: Pick<ActionStep, 'uses' | 'with'> & { readonly condition: string },
  what: 'wait' | 'gate',
  at: JsonPath,
  reader: Reader,
  context: RunbookContext,
): void {
  const action = checkAction(look, true, at, context.actions, context);
  checkTemplates(look.with, [...at, 'with'], reader, context);
  checkCondition(look.condition, [...at, 'condition'], { ...reader, looked: action }, context, 'outputs');
  if (action === undefined) return;
  if (action.scope === 'target') {
    const names = Object.values(context.actions)
      .filter(({ scope }) => scope === 'control')
      .map(({ name }) => name);
    const message = `a ${what} repeats an action of control scope (${names.join(', ')}), and "${look.uses}" runs on targets; use "retry" of a step on targets`;
    const suggestion = closestName(look.uses, names);
    report(context, 'wait-scope', message, [...at, 'uses'], { suggestion });
  } else if (!isRepeatable(action, look)) {
    const message = `"${look.uses}" is repeated until the condition holds, and with this input it changes something each time`;
    report(context, 'wait-effect', message, [...at, 'uses'], { severity: 'warning' });
  }
}

/** Whether it does no harm to repeat it; true as well where that depends on what only the run will know. */
function isRepeatable(action: ActionContract, step: Pick<ActionStep, 'with'>): boolean {
  const input = action.input.safeParse(step.with);
  return !input.success || ['read-only', 'idempotent'].includes(action.effect(input.data));
}

function calledBy(spec: ReturnType<RunbookContext['runbooks']['find']>): readonly string[] {
  if (spec === undefined) return [];
  const steps = Object.values({ ...spec.handlers, '': spec.steps }).flatMap((list) => [...walkSteps(list)]);
  return steps.flatMap((step) => ('call' in step ? [step.call.runbook] : []));
}

/** RFC 3339 section 5.6, with an offset. */
function isMoment(text: string): boolean {
  const match = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/.exec(text);
  if (match === null) return false;
  const [, date = '', time = '', , offset = ''] = match;
  const day = new Date(`${date}T00:00:00Z`);
  // A day that does not exist becomes one of the next month.
  const isDay = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
  return isDay && !Number.isNaN(Date.parse(`${date}T${time}${offset.toUpperCase()}`));
}
