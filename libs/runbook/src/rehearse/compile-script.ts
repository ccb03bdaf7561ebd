import { durationMs, type Fault, type Mock, type RehearsalCase, type RehearsalSpec } from '@fettle/contracts';
import {
  compileTemplate,
  evaluateCondition,
  parseExpression,
  renderCompiled,
  type Expression,
  type Template,
} from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { JsonObject, JsonPath, JsonValue } from '../json.js';
import { randomFrom } from './random.js';
import { sampleOutput } from './sample-output.js';
import { asObject, type Script, type ScriptedCall, type ScriptedEnd } from './script.js';

/** Attempts that nobody mocked take from one second to two, as the seed decides. */
const USUAL_MS = 1000;

/** Whether a path is that of a step, by its id, its path, or a path with `*`. */
export function matchesStep(pattern: string, path: string): boolean {
  const id = path.slice(path.lastIndexOf('/') + 1);
  if (pattern === path || pattern === id) return true;
  if (!pattern.includes('*')) return false;
  const parts = pattern.split('*');
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  if (!path.startsWith(first) || !path.endsWith(last) || path.length < first.length + last.length) return false;
  // Each part between two stars as early as it can be.
  let at = first.length;
  const end = path.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const found = path.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

type AttemptFilter = Pick<Mock, 'step' | 'runbook' | 'phase' | 'target' | 'attempt'>;

interface CompiledMock {
  readonly mock: Mock;
  readonly condition: Expression | null;
  readonly output: Template | null;
}

/** The world of a case, and what of it the run has met. */
export interface CaseScript extends Script {
  /** Faults and mocks of the case itself that decided nothing; ask when the run is over. Paths are relative to the case. */
  unmet(): readonly { readonly path: JsonPath; readonly message: string }[];
}

/** The world of one case. Throws FettleError `invalid-expression` for what validation would have refused. */
export function compileScript(spec: RehearsalSpec, one: RehearsalCase, actions: ActionRegistry): CaseScript {
  const mocks = [...one.mocks, ...spec.mocks].map(compileMock);
  const met = new Set<Mock | Fault>();
  const random = randomFrom(spec.seed ^ 0x5eed);
  const isAt = (filter: Pick<Mock, 'step' | 'runbook'>, place: Pick<ScriptedCall, 'runbook' | 'path'>): boolean =>
    (filter.runbook ?? spec.runbook) === place.runbook && matchesStep(filter.step, place.path);
  const fits = (filter: AttemptFilter, call: ScriptedCall): boolean =>
    isAt(filter, call) &&
    filter.phase === call.phase &&
    (filter.target === undefined || filter.target === call.target) &&
    (filter.attempt === undefined || filter.attempt === call.attempt);
  return {
    attempt(call) {
      const usualMs = USUAL_MS + Math.floor(random() * USUAL_MS);
      const found = mocks.find(({ mock, condition }) => fits(mock, call) && holds(condition, call));
      const end = mockedEnd(found, call, usualMs, actions);
      const fault = one.faults.find((candidate) => fits(candidate, call));
      if (found !== undefined) met.add(found.mock);
      if (fault !== undefined) met.add(fault);
      return fault === undefined ? end : faulted(end, fault);
    },
    decisions: (question) =>
      one.approvals
        .filter((decided) => isAt(decided, question))
        .map(({ decision, by, reason = null, after }) => ({ decision, by, reason, afterMs: durationMs(after) })),
    cancelsAt(wait) {
      const found = one.faults.find((fault) => fault.kind === 'cancel' && fault.phase === 'do' && isAt(fault, wait));
      if (found !== undefined) met.add(found);
      return found !== undefined;
    },
    signals: one.signals.map(({ name, payload = {}, after }) => ({
      name,
      payload: payload as JsonValue,
      afterMs: durationMs(after),
    })),
    held: one.capacity.map(({ key, from, for: held }) => {
      const fromMs = Date.parse(spec.startAt) + durationMs(from);
      return { key, fromMs, toMs: held === undefined ? null : fromMs + durationMs(held) };
    }),
    unmet: () =>
      (['faults', 'mocks'] as const).flatMap((member) =>
        [...one[member].entries()]
          .filter(([, filter]) => !met.has(filter))
          .map(([index, filter]) => ({ path: [member, index], message: unmetText(member, filter) })),
      ),
  };
}

function unmetText(member: 'faults' | 'mocks', { step, phase, target, attempt }: AttemptFilter): string {
  const parts = [
    `${phase === 'undo' ? 'the rollback of ' : ''}"${step}"`,
    ...(target === undefined ? [] : [`on ${target}`]),
    ...(attempt === undefined ? [] : [`attempt ${attempt}`]),
  ];
  return member === 'faults'
    ? `this fault never came about: the run made no attempt that it is about (${parts.join(', ')})`
    : `this mock decided nothing: no attempt came to it (${parts.join(', ')})`;
}

function compileMock(mock: Mock): CompiledMock {
  return {
    mock,
    condition: mock.if === undefined ? null : parseExpression(mock.if, 'target', { origin: 'if', expect: 'bool' }),
    output: mock.output === undefined ? null : compileTemplate(mock.output, 'target', 'output'),
  };
}

function holds(condition: Expression | null, { variables }: ScriptedCall): boolean {
  return condition === null || evaluateCondition(condition, variables) === true;
}

function mockedEnd(
  found: CompiledMock | undefined,
  call: ScriptedCall,
  usualMs: number,
  actions: ActionRegistry,
): ScriptedEnd {
  const action = actions[call.uses];
  const sample: JsonObject = action === undefined ? {} : { ...sampleOutput(action), ...action.sample?.(call.input) };
  if (found === undefined) {
    return { state: 'succeeded', exitCode: exitCodeOf(sample), error: null, result: sample, takesMs: usualMs };
  }
  const { mock, output } = found;
  const given = output === null ? {} : asObject(renderCompiled(output, call.variables));
  const code = mock.exitCode === undefined || !Object.hasOwn(sample, 'exitCode') ? {} : { exitCode: mock.exitCode };
  const result: JsonObject = { ...sample, ...code, ...given };
  const state = mock.state ?? (mock.error === undefined && (mock.exitCode ?? 0) === 0 ? 'succeeded' : 'failed');
  const error = state === 'succeeded' ? null : (mock.error ?? mockedError(state));
  return { state, exitCode: mock.exitCode ?? exitCodeOf(result), error, result, takesMs: durationMs(mock.takes) };
}

function exitCodeOf({ exitCode }: JsonObject): number | null {
  return typeof exitCode === 'number' ? exitCode : null;
}

const mockedError = (state: string) => ({ code: `mocked-${state}`, message: `it was mocked to end as ${state}` });

function faulted(end: ScriptedEnd, { kind }: Fault): ScriptedEnd {
  switch (kind) {
    case 'fail':
      return {
        ...end,
        state: 'failed',
        exitCode: null,
        error: { code: 'fault-injected', message: 'a fault was injected' },
      };
    case 'unreachable':
      return {
        ...end,
        state: 'unreachable',
        exitCode: null,
        error: { code: 'host-unreachable', message: 'a fault was injected' },
      };
    case 'time-out':
      return { ...end, takesMs: Number.MAX_SAFE_INTEGER };
    default:
      return { ...end, fault: kind };
  }
}
