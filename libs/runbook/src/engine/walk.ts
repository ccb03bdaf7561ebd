import { FettleError } from '@fettle/contracts';
import { evaluate, parseExpression, renderTemplate, type Variables } from '@fettle/expression';
import { jsonSizeBytes, type JsonObject, type JsonValue } from '../json.js';
import type { RunError } from './commands.js';
import { compileStep, decideStep, stepOutputs } from './decide-step.js';
import { readItems } from './iterations.js';
import type { ChooseNode, ForEachNode, NodeBase, ParallelNode, ProgramNode, TryNode } from './program-nodes.js';
import type { Outcome } from './state.js';
import { childLists } from './targets.js';
import { WalkLeaves } from './walk-leaves.js';
import {
  cancelled,
  errorVariable,
  failureOf,
  idOf,
  MAX_CONTROL_OUTPUT_BYTES,
  ok,
  skipped,
  stepError,
  tooLarge,
  type Place,
  type Result,
} from './walk-base.js';

/**
 * Goes through the tree from its root, over what is done, to everything that is open or can begin. What was decided stands in the
 * draft, so that each walk takes the same way and goes on where the last one stopped.
 */
export class Walk extends WalkLeaves {
  /** The whole run. */
  run(): Result {
    const { nodes, capacity } = this.program;
    const isCancelling = this.draft.stop !== null;
    const top: Place = { prefix: '', item: {}, error: null, isCancelling, isShielded: false };
    const root: NodeBase = { id: 'run', if: null, onError: 'fail', capacity };
    if (capacity !== null) {
      const held = this.capacity(root, top, '');
      if (held !== null) return held;
    }
    const result = this.#whole(nodes, top);
    if (result !== 'pending' && capacity !== null) this.free('');
    return result;
  }

  /** Again where a segment has ended in this walk after another was refused its turn. */
  #whole(nodes: readonly ProgramNode[], top: Place): Result {
    for (;;) {
      this.waitsForTurn = false;
      const result = this.sequence(nodes, top);
      if (result !== 'pending' || !this.waitsForTurn || this.draft.segment !== null) return result;
    }
  }

  protected sequence(nodes: readonly ProgramNode[], place: Place): Result {
    for (const node of nodes) {
      const result = this.node(node, place);
      if (result === 'pending' || result.state === 'failed' || result.state === 'cancelled') return result;
    }
    return ok;
  }

  protected node(node: ProgramNode, place: Place): Result {
    const path = place.prefix + node.id;
    const known = this.draft.done[path];
    if (known !== undefined) return known;
    const begun = this.recall(node, place, path) ?? this.begin(node, place, path);
    if (begun !== null) return begun;
    const result = this.carryOn(node, place, path);
    if (result === 'pending') return result;
    if (node.capacity !== null) this.free(path);
    return this.settle(node, place, path, result);
  }

  /** Condition and capacity, once; null: the node itself is to go on. */
  protected begin(node: ProgramNode, place: Place, path: string): Result | null {
    const { marks, open, segment } = this.draft;
    if (Object.hasOwn(open, path) || Object.hasOwn(marks, path) || segment?.path === path) return null;
    if (!Object.hasOwn(open, `${path}#capacity`)) {
      if (place.isCancelling) {
        this.free(path);
        return cancelled;
      }
      const refused = node.if === null ? null : this.condition(node, place, path, node.if);
      if (refused !== null) return refused;
    }
    if (node.capacity === null) return null;
    return this.capacity(node, place, path);
  }

  protected condition(node: ProgramNode, place: Place, path: string, source: string): Result | null {
    const decision = decideStep(compileStep({ if: source, with: {} }, 'run'), this.variables(place));
    if (decision.kind === 'run') return null;
    if (decision.kind === 'skip') {
      this.commands.push({ kind: 'skip-step', path });
      return this.settle(node, place, path, skipped);
    }
    return this.settle(node, place, path, this.refused(path, decision.error));
  }

  protected settle(node: ProgramNode, place: Place, path: string, result: Outcome): Outcome {
    let outcome = result;
    if (outcome.state === 'failed' && node.onError === 'continue') {
      this.note(path, 'failure-passed', { code: outcome.error?.code ?? 'failed' });
      outcome = ok;
    }
    if (outcome.state === 'cancelled' && !Object.hasOwn(this.draft.marks, path)) return outcome;
    this.forget(childLists(node).flat(), place.prefix);
    delete this.draft.marks[path];
    this.draft.done[path] = outcome;
    return outcome;
  }

  protected forget(nodes: readonly ProgramNode[], prefix: string): void {
    for (const node of nodes) {
      const path = prefix + node.id;
      delete this.draft.done[path];
      delete this.draft.marks[path];
      this.forget(childLists(node).flat(), prefix);
    }
  }

  protected carryOn(node: ProgramNode, place: Place, path: string): Result {
    switch (node.kind) {
      case 'targets':
        return this.targets(node, place, path);
      case 'control':
        return this.control(node, place, path);
      case 'parallel':
        return this.parallel(node, place, path);
      case 'for-each':
        return this.forEach(node, place, path);
      case 'choose':
        return this.choose(node, place, path);
      case 'call':
        return this.call(node, place, path);
      case 'approval':
        return this.approval(node, place, path);
      case 'pause':
        return this.pause(node, place, path);
      case 'until':
        return this.until(node, place, path);
      case 'poll':
        return this.poll(node, place, path);
      case 'signal':
        return this.signal(node, place, path);
      case 'try':
        return this.try(node, place, path);
    }
  }

  // ---- steps with steps in them ----

  protected parallel(node: ParallelNode, place: Place, path: string): Result {
    for (;;) {
      const isFailed = this.draft.marks[path] === 'failed';
      this.draft.marks[path] ??= 'entered';
      const inside = { ...place, isCancelling: place.isCancelling || isFailed };
      const results = node.branches.map((branch) => this.sequence(branch.nodes, inside));
      const failure = results.find((result) => result !== 'pending' && result.state === 'failed');
      if (failure !== undefined && node.failFast && !isFailed) {
        this.draft.marks[path] = 'failed';
        continue;
      }
      if (results.includes('pending')) return 'pending';
      return failure ?? results.find((result) => result !== 'pending' && result.state === 'cancelled') ?? ok;
    }
  }

  protected choose(node: ChooseNode, place: Place, path: string): Result {
    if (!Object.hasOwn(this.draft.marks, path)) {
      const variables = this.variables(place);
      let chosen = this.draft.memo?.chosen[path] ?? -1;
      for (const [index, { when }] of chosen < 0 ? node.branches.entries() : []) {
        const decision = when === null ? null : decideStep(compileStep({ if: when, with: {} }, 'run'), variables);
        if (decision?.kind === 'fail') return this.refused(path, decision.error);
        if (decision?.kind === 'skip') continue;
        chosen = index;
        break;
      }
      if (chosen < 0) {
        this.commands.push({ kind: 'skip-step', path });
        return skipped;
      }
      this.draft.marks[path] = chosen;
      this.note(path, 'branch-chosen', { branch: chosen });
    }
    return this.sequence(node.branches[Number(this.draft.marks[path])]?.nodes ?? [], place);
  }

  protected forEach(node: ForEachNode, place: Place, path: string): Result {
    const { draft } = this;
    if (!Object.hasOwn(draft.marks, path)) {
      try {
        draft.marks[path] = readItems(node, this.variables(place)) as unknown as JsonValue;
      } catch (error) {
        return this.refused(path, stepError(error));
      }
    }
    const loop = draft.marks[path] as unknown as ReturnType<typeof readItems>;
    for (;;) {
      const before = this.iterate(node, place, path, loop);
      if (before === 'again') continue;
      if (before === 'pending') return 'pending';
      return this.gather(node, path, loop, before);
    }
  }

  protected iterate(
    node: ForEachNode,
    place: Place,
    path: string,
    { keys, items }: ReturnType<typeof readItems>,
  ): 'pending' | 'again' | Outcome {
    const { draft } = this;
    const isFailed = node.failFast && draft.marks[`${path}#failed`] === true;
    const isCancelling = place.isCancelling || isFailed;
    let running = 0;
    let worst: Outcome = ok;
    for (const [index, key] of keys.entries()) {
      const at = `${path}[${key}]`;
      let outcome: Result | undefined = draft.done[at];
      if (outcome === undefined) {
        if (!Object.hasOwn(draft.marks, at)) {
          if (isCancelling) {
            if (worst.state === 'ok') worst = cancelled;
            continue;
          }
          if (running >= node.concurrency) break;
          draft.marks[at] = true;
          this.note(at, 'iteration-started', { index });
        }
        const item = { ...place.item, [node.as]: items[index] ?? null };
        outcome = this.sequence(node.nodes, { ...place, prefix: `${at}/`, item, isCancelling });
        if (outcome === 'pending') {
          running += 1;
          continue;
        }
        this.endIteration(node, at, outcome);
        if (outcome.state === 'failed' && node.failFast && !isFailed) {
          draft.marks[`${path}#failed`] = true;
          return 'again';
        }
      }
      if (outcome.state === 'failed' && worst.state !== 'failed') worst = outcome;
      if (outcome.state === 'cancelled' && worst.state === 'ok') worst = outcome;
    }
    return running > 0 ? 'pending' : worst;
  }

  protected endIteration(node: ForEachNode, at: string, outcome: Outcome): void {
    const { draft } = this;
    const prefix = `${at}/`;
    const outputs: Record<string, JsonValue> = {};
    for (const key of Object.keys(draft.outputs)) {
      if (!key.startsWith(prefix)) continue;
      if (node.outputs !== null && !key.slice(prefix.length).includes('[')) outputs[idOf(key)] = draft.outputs[key]!;
      delete draft.outputs[key];
    }
    this.forget(node.nodes, prefix);
    delete draft.marks[at];
    draft.done[at] = node.outputs === null ? outcome : { ...outcome, outputs };
  }

  /** Outputs of the loop, over what its iterations came to. */
  protected gather(node: ForEachNode, path: string, { keys }: ReturnType<typeof readItems>, outcome: Outcome): Outcome {
    const { draft } = this;
    const result = keys.map((key) => {
      const { state, outputs = {} } = draft.done[`${path}[${key}]`] ?? cancelled;
      delete draft.done[`${path}[${key}]`];
      return { key, state: state === 'ok' ? 'succeeded' : state, outputs };
    });
    delete draft.marks[`${path}#failed`];
    if (outcome.state !== 'ok' || node.outputs === null) return outcome;
    try {
      const output = stepOutputs(node.outputs, { result });
      return this.keep(path, output);
    } catch (error) {
      return { state: 'failed', error: failureOf(path, stepError(error)) };
    }
  }

  protected try(node: TryNode, place: Place, path: string): Result {
    const { marks } = this.draft;
    interface Mark {
      readonly phase: 'body' | 'catch' | 'finally';
      readonly outcome?: Outcome;
    }
    let mark = (marks[path] ?? { phase: 'body' }) as unknown as Mark;
    const enter = (next: Mark): void => {
      mark = next;
      marks[path] = next as unknown as JsonValue;
    };
    enter(mark);
    if (mark.phase === 'body') {
      const result = this.sequence(node.nodes, place);
      if (result === 'pending') return result;
      if (result.state === 'failed' && node.catch !== null) {
        this.note(path, 'failure-caught', { code: result.error?.code ?? 'failed' });
        enter({ phase: 'catch', outcome: result });
      } else enter({ phase: 'finally', outcome: result });
    }
    const { outcome = ok } = mark;
    const error = outcome.error === undefined ? place.error : errorVariable(outcome.error);
    if (mark.phase === 'catch') {
      const result = this.sequence(node.catch ?? [], { ...place, error });
      if (result === 'pending') return result;
      enter({ phase: 'finally', outcome: result });
    }
    if (node.finally === null) return mark.outcome ?? ok;
    const last = this.sequence(node.finally, { ...place, error, isCancelling: false, isShielded: true });
    if (last === 'pending' || last.state === 'failed') return last;
    return mark.outcome ?? ok;
  }

  /** What the runbook says a run came to. */
  summary(): string | null {
    const { summary } = this.program;
    if (summary === null) return null;
    try {
      const text = renderTemplate(summary, 'run', this.variables({ prefix: '', item: {}, error: null }));
      return String(text).slice(0, MAX_CONTROL_OUTPUT_BYTES);
    } catch (error) {
      return `(the summary cannot be determined: ${stepError(error).message})`;
    }
  }

  outputs(): { readonly value: JsonObject | null; readonly error?: RunError } {
    const { outputs } = this.program;
    if (outputs === null) return { value: null };
    try {
      const value = this.evaluated(outputs, this.variables({ prefix: '', item: {}, error: null }));
      return { value };
    } catch (error) {
      return { value: null, error: stepError(error) };
    }
  }

  protected evaluated(outputs: Readonly<Record<string, string>>, variables: Variables): JsonObject {
    const entries = Object.entries(outputs).map(([name, source]) => {
      const origin = `outputs.${name}`;
      const outcome = evaluate(parseExpression(source, 'run', { origin }), variables);
      if (outcome.known) return [name, outcome.value as JsonValue] as const;
      const message = `the output "${name}" cannot be determined: ${outcome.reason}`;
      throw new FettleError({ code: 'output-undetermined', message });
    });
    const value = Object.fromEntries(entries);
    if (jsonSizeBytes(value) > MAX_CONTROL_OUTPUT_BYTES) throw tooLarge('the outputs are');
    return value;
  }
}
