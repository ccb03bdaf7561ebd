import { durationMs, FettleError, isActionStep, type ActionStep, type RunbookSpec, type Step } from '@fettle/contracts';
import type { JsonObject } from '../json.js';
import type {
  ActionScopes,
  ControlRollback,
  ControlStep,
  ForEachNode,
  NodeBase,
  Program,
  ProgramGate,
  ProgramNode,
  ProgramRollout,
  TargetsNode,
  TargetStepReference,
  TryNode,
} from './program-nodes.js';
import { readStepIds } from './step-reads.js';
import { ROLLBACK_RETRY, rollbackOf, undoOf } from './step-undo.js';
import { TargetCodes, type TargetCode } from './target-code.js';

/** Both levels of a runbook. */
export interface CompiledRunbook {
  readonly program: Program;
  /** All target steps, in the order in which targets pass through them. */
  readonly targetCodes: readonly TargetCode[];
}

/**
 * The program of a runbook: neighbouring target steps become segments; a step that names a handler becomes a `try` with the handler as
 * its `catch`. Throws FettleError `invalid-document` for an action or handler that is not known (validation finds it earlier, with its
 * place).
 */
export function compileRunbook(spec: RunbookSpec, actions: ActionScopes): CompiledRunbook {
  const compiler = new Compiler(spec, actions);
  const nodes = compiler.list(spec.steps, '', false);
  compiler.markLast();
  return { program: programOf(spec, nodes, compiler.gate()), targetCodes: compiler.targetCodes };
}

/** `compileRunbook` for who needs the run level only. */
export function compileProgram(spec: RunbookSpec, actions: ActionScopes): Program {
  return compileRunbook(spec, actions).program;
}

function programOf(spec: RunbookSpec, nodes: readonly ProgramNode[], gate: ProgramGate | null): Program {
  const rollout = programRollout(spec, gate);
  return {
    format: 2,
    timeoutMs: durationMs(spec.timeout),
    maxConcurrency: spec.rollout.maxConcurrency,
    ...(rollout === null ? {} : { rollout }),
    nodes,
    outputs: spec.outputs ?? null,
    summary: spec.summary ?? null,
    rollback: spec.rollback ?? 'unfinished',
    capacity: spec.capacity ?? null,
  };
}

function programRollout({ rollout }: RunbookSpec, gate: ProgramGate | null): ProgramRollout | null {
  const { waves = null, maxFailures = null, soak } = rollout;
  if (waves === null && maxFailures === null) return null;
  const soakMs = soak === undefined ? 0 : durationMs(soak);
  return { waves, maxFailures, soakMs, ...(gate === null || waves === null ? {} : { gate }) };
}

const plain = { if: null, onError: 'fail', capacity: null } as const;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

class Compiler {
  readonly #spec: RunbookSpec;
  readonly #actions: ActionScopes;
  readonly #codes: TargetCodes;
  #last: { readonly node: Mutable<TargetsNode>; readonly again: boolean } | null = null;

  constructor(spec: RunbookSpec, actions: ActionScopes) {
    this.#spec = spec;
    this.#actions = actions;
    this.#codes = new TargetCodes(actions, spec.handlers ?? {});
  }

  get targetCodes(): readonly TargetCode[] {
    return this.#codes.codes;
  }

  /** Once all is compiled. */
  markLast(): void {
    if (this.#last !== null && !this.#last.again) this.#last.node.isLast = true;
  }

  /** `scope`: what stands before the ids of these steps (`deploy!recover/` inside of a handler). `again`: they may be come to again. */
  list(steps: readonly Step[], scope: string, again: boolean): ProgramNode[] {
    const nodes: ProgramNode[] = [];
    for (let from = 0; from < steps.length;) {
      let to = from;
      while (to < steps.length && this.#codes.joins(steps[to]!)) to += 1;
      if (to > from) nodes.push(this.#segment(steps.slice(from, to), scope, again));
      else nodes.push(this.#step(steps[to++]!, scope, again));
      from = to;
    }
    return nodes;
  }

  #segment(steps: readonly Step[], scope: string, again: boolean): TargetsNode {
    const codes = this.#codes.append(steps, scope);
    const [first, last] = [codes[0]!, codes.at(-1)!];
    const reads = readStepIds(codes.map(({ step }) => step));
    const node: Mutable<TargetsNode> = {
      ...plain,
      kind: 'targets',
      id: first.path,
      first: first.index,
      last: last.index,
      steps: codes.map(({ path, step }) => this.#reference(path, step)),
      isLast: false,
      hasRollback: codes.some(({ step }) => undoOf(step, this.#actions) !== null),
      ...finallyOf(codes),
      ...(reads.length === 0 ? {} : { reads }),
    };
    this.#last = { node, again };
    return node;
  }

  #reference(id: string, step: Pick<ActionStep, 'uses' | 'id'>): TargetStepReference {
    return { id, uses: step.uses, actionVersion: actionOf(step, this.#actions).version };
  }

  /** A step with what it names: its handler around it. */
  #step(step: Step, scope: string, again: boolean): ProgramNode {
    if (this.#codes.isTargetLevel(step)) return this.#targetStep(step, scope, again);
    const { onError } = step;
    if (onError === 'fail' || onError === 'continue') return this.#node(step, onError, scope, again);
    const handler = this.#spec.handlers?.[onError];
    if (handler === undefined) throw unknownHandler(step);
    const inside = `${scope}${step.id}!${onError}/`;
    const guarded: TryNode = {
      ...plain,
      kind: 'try',
      id: `${scope}${step.id}!${onError}`,
      nodes: [this.#node(step, 'fail', scope, again)],
      catch: this.list(handler, inside, again),
      finally: null,
    };
    return guarded;
  }

  /** Steps on targets that stand apart from their neighbours: they take capacity, or have a condition of the run level. */
  #targetStep(step: Step, scope: string, again: boolean): ProgramNode {
    const capacity = step.capacity ?? null;
    const segment = this.#segment([{ ...step, ...(isActionStep(step) ? {} : { if: undefined }) }], scope, again);
    const id = `${scope}${step.id}`;
    const condition = isActionStep(step) ? null : (step.if ?? null);
    return {
      ...plain,
      kind: 'try',
      id: `${id}!segment`,
      if: condition,
      capacity,
      nodes: [segment],
      catch: null,
      finally: null,
    };
  }

  #node(step: Step, onError: 'fail' | 'continue', scope: string, again: boolean): ProgramNode {
    const id = `${scope}${step.id}`;
    const base = { id, if: step.if ?? null, onError, capacity: step.capacity ?? null };
    const list = (steps: readonly Step[], repeats = again): ProgramNode[] => this.list(steps, scope, repeats);
    if (isActionStep(step)) {
      return { ...base, kind: 'control', step: this.#control(id, step) };
    }
    if ('parallel' in step) {
      const names = Object.keys(step.parallel).sort();
      const branches = names.map((name) => ({ name, nodes: list(step.parallel[name] ?? [], true) }));
      return { ...base, kind: 'parallel', branches, failFast: step.failFast };
    }
    if ('forEach' in step) {
      const { items, as, concurrency, failFast, steps } = step.forEach;
      const outputs = step.outputs ?? null;
      const nodes = list(steps, true);
      return {
        ...base,
        kind: 'for-each',
        items: items as ForEachNode['items'],
        as,
        concurrency,
        failFast,
        nodes,
        outputs,
      };
    }
    if ('choose' in step) {
      const branches = step.choose.map((one) => ({ when: one.when ?? null, nodes: list(one.steps) }));
      return { ...base, kind: 'choose', branches };
    }
    if ('call' in step) return { ...base, kind: 'call', call: step.call, outputs: step.outputs ?? null };
    if ('approval' in step) return { ...base, kind: 'approval', approval: step.approval };
    if ('wait' in step) return this.#wait(step, base);
    const { try: body, catch: caught, finally: last } = step;
    return {
      ...base,
      kind: 'try',
      nodes: list(body),
      catch: caught === undefined ? null : list(caught),
      finally: last === undefined ? null : list(last),
    };
  }

  #wait(step: Extract<Step, { wait: unknown }>, base: NodeBase): ProgramNode {
    const { wait } = step;
    const outputs = step.outputs ?? null;
    if ('duration' in wait) return { ...base, kind: 'pause', durationMs: durationMs(wait.duration) };
    if ('until' in wait) return { ...base, kind: 'until', until: wait.until };
    if ('signal' in wait) {
      const { signal, payload, timeout } = wait;
      return {
        ...base,
        kind: 'signal',
        signal,
        payload: payload as JsonObject,
        timeoutMs: durationMs(timeout),
        outputs,
      };
    }
    const { uses, with: input, condition, every, timeout } = wait;
    const action = { id: step.id, uses, with: input, outputs: step.outputs, onError: 'fail' } as const;
    return {
      ...base,
      kind: 'poll',
      step: { ...this.#control(base.id, action), outputs },
      condition,
      everyMs: durationMs(every),
      timeoutMs: durationMs(timeout),
    };
  }

  /** What has to hold between two waves; null: nothing. */
  gate(): ProgramGate | null {
    const { gate } = this.#spec.rollout;
    if (gate === undefined) return null;
    const { require = null, uses, with: input = {}, condition = 'true', every, timeout, consecutive, onFailure } = gate;
    const closed = onFailure === undefined || onFailure === 'stop' ? {} : { onFailure };
    if (uses === undefined) return { require, look: null, ...closed };
    // Nothing reads its output: only the condition does.
    const step = this.#control('gate', { id: 'gate', uses, with: input, outputs: {}, onError: 'fail' });
    const look = { step, condition, everyMs: durationMs(every), timeoutMs: durationMs(timeout), consecutive };
    return { require, look, ...closed };
  }

  #control(id: string, step: ActionStep): ControlStep {
    const { defaultTimeoutMs } = actionOf(step, this.#actions);
    return {
      ...this.#reference(id, step),
      with: step.with as JsonObject,
      outputs: step.outputs ?? null,
      retry: step.retry ?? null,
      timeoutMs: step.timeout === undefined ? defaultTimeoutMs : durationMs(step.timeout),
      rollback: this.#rollback(step),
    };
  }

  #rollback(step: ActionStep): ControlRollback | null {
    const rollback = rollbackOf(step);
    if (rollback === null) return null;
    const { uses, with: input, retry = ROLLBACK_RETRY, timeout } = rollback;
    const { version, defaultTimeoutMs } = actionOf({ id: step.id, uses }, this.#actions);
    const timeoutMs = timeout === undefined ? defaultTimeoutMs : durationMs(timeout);
    return { uses, actionVersion: version, with: input as JsonObject, retry, timeoutMs };
  }
}

/** What a segment must know of its `finally`, to have targets that a cancel stops go through it. */
function finallyOf(codes: readonly TargetCode[]): Pick<TargetsNode, 'finallySeconds'> {
  const inside = codes.filter(({ finallys }) => finallys.length > 0);
  if (inside.length === 0) return {};
  const timeoutsMs = inside.map(({ step }) => (step.timeout === undefined ? 0 : durationMs(step.timeout)));
  return { finallySeconds: Math.ceil(timeoutsMs.reduce((sum, ms) => sum + ms, 0) / 1000) };
}

function actionOf(step: Pick<ActionStep, 'id' | 'uses'>, actions: ActionScopes): ActionScopes[string] {
  const action = Object.hasOwn(actions, step.uses) ? actions[step.uses] : undefined;
  if (action !== undefined) return action;
  throw new FettleError({
    code: 'invalid-document',
    message: `step "${step.id}" uses "${step.uses}", which is not an action of this server`,
    remedy: 'Run `fettle validate -f FILE` to see the known actions, or update the server.',
  });
}

function unknownHandler(step: Pick<Step, 'id' | 'onError'>): FettleError {
  return new FettleError({
    code: 'invalid-document',
    message: `step "${step.id}" names the handler "${step.onError}", which the runbook does not have`,
    remedy: 'Run `fettle validate -f FILE`.',
  });
}
