import { FettleError } from '@fettle/contracts';
import { renderTemplate, type Variables } from '@fettle/expression';
import type { JsonObject, JsonValue } from '../json.js';
import type { EngineCommand, EngineEvent, RunError } from './commands.js';
import type { StepError } from './decide-step.js';
import type { NodeBase, Program } from './program-nodes.js';
import type { Draft, Outcome } from './state.js';

/** What the output of a control step may hold at most, as JSON: it lives in the history of the workflow. */
export const MAX_CONTROL_OUTPUT_BYTES = 4096;

export type Answer = Extract<EngineEvent, { path: string }>;
export type Result = Outcome | 'pending';

/** Where in the tree the walk is. */
export interface Place {
  /** Before the ids of nodes: the iterations around them. */
  readonly prefix: string;
  readonly item: JsonObject;
  /** What a `catch` reads as `error`. */
  readonly error: JsonObject | null;
  /** What has not begun is not begun any more, what is open is cancelled. */
  readonly isCancelling: boolean;
  /** Inside of `finally`. */
  readonly isShielded: boolean;
}

export const ok: Outcome = { state: 'ok' };
export const skipped: Outcome = { state: 'skipped' };
export const cancelled: Outcome = { state: 'cancelled' };

/** What all parts of the walk share: the draft, its commands, capacity, and what expressions see. */
export abstract class WalkBase {
  readonly commands: EngineCommand[] = [];
  readonly draft: Draft;
  protected readonly program: Program;
  protected answer: Answer | null;

  constructor(program: Program, draft: Draft, answer: Answer | null) {
    this.program = program;
    this.draft = draft;
    this.answer = answer;
  }

  /** The step fails before it began. */
  protected refused(path: string, error: StepError): Outcome {
    this.commands.push({ kind: 'fail-step', path, error });
    return { state: 'failed', error: failureOf(path, error) };
  }

  /** The answer to the command of that path, taken once. */
  protected take(path: string): Answer | null {
    const answer = this.answer;
    if (answer?.path !== path) return null;
    this.answer = null;
    return answer;
  }

  /** Gives an awaited command. */
  protected open(place: Place, command: Extract<EngineCommand, { path: string }>): 'pending' {
    this.draft.open[command.path] = {};
    this.commands.push(place.isShielded ? ({ ...command, shielded: true } as EngineCommand) : command);
    return 'pending';
  }

  /** What is open stays so; where everything is being cancelled, the host is told, once. */
  protected stillOpen(place: Place, path: string): 'pending' {
    const open = this.draft.open[path];
    if (place.isCancelling && open !== undefined && open.isCancelling !== true) {
      this.draft.open[path] = { isCancelling: true };
      this.commands.push({ kind: 'cancel', path });
    }
    return 'pending';
  }

  protected note(path: string, note: string, data: JsonObject): void {
    this.commands.push({ kind: 'note', path, note, data });
  }

  // ---- capacity ----

  /** Null: it is held. */
  protected capacity(node: NodeBase, place: Place, path: string): Result | null {
    if (this.draft.marks[`${path}#held`] === true) return null;
    const gate = `${path}#capacity`;
    const answer = this.take(gate);
    if (answer !== null) {
      delete this.draft.open[gate];
      if (answer.kind === 'ended' && answer.state === 'cancelled') return cancelled;
      if (answer.kind === 'ended' && answer.state !== 'succeeded') {
        const error = answer.error ?? { code: 'capacity-refused', message: 'the capacity was not given' };
        return { state: 'failed', error: failureOf(path, error) };
      }
      this.draft.marks[`${path}#held`] = true;
      return null;
    }
    if (Object.hasOwn(this.draft.open, gate)) return this.stillOpen(place, gate);
    if (place.isCancelling) return cancelled;
    try {
      const variables = this.variables(place);
      const wants = (node.capacity ?? []).map((want) => {
        const { key, units } = typeof want === 'string' ? { key: want, units: 1 } : want;
        return { key: String(renderTemplate(key, 'run', variables)), units };
      });
      return this.open(place, { kind: 'take-capacity', path: gate, wants });
    } catch (error) {
      return this.refused(path, stepError(error));
    }
  }

  protected free(path: string): void {
    if (this.draft.marks[`${path}#held`] !== true) return;
    delete this.draft.marks[`${path}#held`];
    this.commands.push({ kind: 'free-capacity', path: `${path}#capacity` });
  }

  protected variables({ prefix, item, error }: Pick<Place, 'prefix' | 'item' | 'error'>): Variables {
    const { inputs, run, counts, outputs } = this.draft;
    const steps: Record<string, JsonValue> = {};
    for (const [path, output] of Object.entries(outputs)) {
      const end = path.lastIndexOf(']/');
      // What stands in iterations around this place, the inner ones last; not what is in others.
      if (prefix.startsWith(end < 0 ? '' : path.slice(0, end + 2))) steps[idOf(path)] = output;
    }
    const variables = { inputs, steps, run: { ...run, counts }, item, ...(error === null ? {} : { error }) };
    return variables;
  }
}

/** The id of a step from its path. */
export function idOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function failureOf(path: string, error: StepError): RunError {
  return { code: error.code, message: `step "${path}" failed: ${error.message}`, stepId: path };
}

export function stepError(error: unknown): StepError {
  if (!(error instanceof FettleError)) throw error;
  return { code: error.code, message: error.message };
}

export function tooLarge(what: string): FettleError {
  const message = `${what} larger than ${MAX_CONTROL_OUTPUT_BYTES} bytes; declare "outputs" with what later steps need`;
  return new FettleError({ code: 'output-too-large', message });
}

export function unreachable(): StepError {
  return { code: 'internal', message: 'a step without condition was skipped' };
}

/** What a `catch` reads. */
export function errorVariable({ code, message, stepId = '' }: RunError): JsonObject {
  return { code, message, step: stepId };
}
