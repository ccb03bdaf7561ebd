import type { ClaimedRun, Decision, EndRunInput } from '@fettle/activities';
import { advance, type EngineCommand, type EngineEvent, type EngineState, type WorkCommand } from '@fettle/runbook';
import { CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import { local } from './activities.js';
import { carryOut, type OpenWork, type Work } from './carry-out.js';

export type Ended = Omit<EndRunInput, 'runId'>;

/** A run between two executions of its workflow. */
export interface Resume {
  readonly claimed: ClaimedRun;
  readonly state: EngineState;
  /** What the engine waits for. */
  readonly open: readonly ParkedWork[];
  /** Counts the groups of decisions that were written. */
  readonly mark: number;
  /** Nothing was under way but questions to people; absent: something was. */
  readonly isWaiting?: true | undefined;
}

type ParkedWork = Pick<OpenWork, 'command' | 'deadlineMs' | 'isCancelling'>;

interface Running extends OpenWork {
  isCancelling: boolean;
  /** Null: it rests until the next execution of the workflow. */
  scope: CancellationScope | null;
}

/**
 * Drives the engine of one run: events go into it one after the other, what it commands is carried out beside each other, and whatever
 * ends is the next event. Where the history has grown long, everything comes to rest, and the next execution goes on with it.
 */
export class RunActor implements Work {
  readonly runId: string;
  readonly claimed: ClaimedRun;
  readonly #events: EngineEvent[] = [];
  readonly #open = new Map<string, Running>();
  readonly #woken: Set<string>;
  #state: EngineState;
  #mark: number;
  #isResting = false;
  /** As the database has it: nothing is under way but questions to people. */
  #isWaiting: boolean;
  /** Paths of the steps that have asked. */
  readonly #asked = new Set<string>();
  #isCancelNoticed: boolean;
  /** Why the run cannot go on. */
  #fault: { readonly error: unknown } | null = null;

  constructor(runId: string, begun: Resume, woken: Set<string>) {
    this.runId = runId;
    this.claimed = begun.claimed;
    this.#woken = woken;
    this.#state = begun.state;
    this.#mark = begun.mark;
    this.#isCancelNoticed = begun.state.stop !== null;
    this.#isWaiting = begun.isWaiting === true;
    // They had all asked, or it would not have been waiting for them alone.
    if (this.#isWaiting) for (const { command } of begun.open) this.#asked.add(command.path);
    for (const work of begun.open) this.#start({ ...work });
    if (begun.state.phase === 'created') {
      const { inputs, counts, runbook, space } = begun.claimed;
      this.tell({ kind: 'started', inputs, targetCounts: counts, run: { id: runId, runbook, space } });
    }
  }

  /** The next event for the engine. */
  tell(event: EngineEvent): void {
    this.#events.push(event);
  }

  /** The run was cancelled, whoever found out first: a lane, a step, or Temporal. */
  noticeCancel(): void {
    if (this.#isCancelNoticed) return;
    this.#isCancelNoticed = true;
    this.tell({ kind: 'cancel-requested' });
  }

  noticeAsked(path: string): void {
    this.#asked.add(path);
  }

  get isResting(): boolean {
    if (workflowInfo().continueAsNewSuggested) this.#isResting = true;
    return this.#isResting;
  }

  takeWake(path: string): boolean {
    return this.#woken.delete(path);
  }

  hasWake(path: string): boolean {
    return this.#woken.has(path);
  }

  async drive(): Promise<Ended | Resume> {
    for (;;) {
      await condition(
        () =>
          this.#events.length > 0 || this.#fault !== null || this.#hasComeToRest || this.#onlyAsks !== this.#isWaiting,
      );
      if (this.#fault !== null) throw this.#fault.error;
      if (this.#onlyAsks !== this.#isWaiting) {
        this.#isWaiting = this.#onlyAsks;
        await local.setWaitingApproval({ runId: this.runId, isWaiting: this.#isWaiting });
        continue;
      }
      const event = this.#events.shift();
      if (event === undefined) return this.#resume();
      const { state, commands } = advance(this.claimed.program, this.#state, event);
      this.#state = state;
      const ended = await this.#carryOutAll(commands);
      if (ended !== null) return ended;
      if (this.#open.size === 0 && this.#events.length === 0) {
        throw new Error('the engine gave no command to wait for');
      }
    }
  }

  /** Ends everything that is open and waits for it: the run may end only when nothing is in flight any more. */
  async abandon(): Promise<void> {
    for (const path of [...this.#open.keys()]) this.#cancel(path);
    await condition(() => [...this.#open.values()].every((work) => work.scope === null));
  }

  /** While it rests, whatever held before holds. */
  get #onlyAsks(): boolean {
    if (this.isResting && this.#events.length === 0) return this.#isWaiting;
    const open = [...this.#open.values()];
    return (
      open.length > 0 &&
      this.#events.length === 0 &&
      open.every(
        ({ command, isCancelling }) =>
          command.kind === 'ask-approval' && !isCancelling && this.#asked.has(command.path),
      )
    );
  }

  get #hasComeToRest(): boolean {
    return this.isResting && [...this.#open.values()].every((work) => work.scope === null);
  }

  #resume(): Resume {
    const open = [...this.#open.values()].map(({ command, deadlineMs, isCancelling }) => ({
      command,
      deadlineMs,
      isCancelling,
    }));
    const waiting = this.#isWaiting ? { isWaiting: true as const } : {};
    return { claimed: this.claimed, state: this.#state, open, mark: this.#mark, ...waiting };
  }

  /** In their order: what only stands in the journal is written before what comes after it begins. */
  async #carryOutAll(commands: readonly EngineCommand[]): Promise<Ended | null> {
    const decisions: Decision[] = [];
    for (const command of commands) {
      switch (command.kind) {
        case 'skip-step':
        case 'fail-step':
        case 'note':
          decisions.push(command);
          continue;
        case 'cancel':
          await this.#record(decisions.splice(0));
          this.#cancel(command.path);
          continue;
        case 'free-capacity':
          await this.#record(decisions.splice(0));
          await local.freeCapacity({ runId: this.runId, path: command.path });
          continue;
        case 'finish': {
          await this.#record(decisions.splice(0));
          await this.abandon();
          const { state, error = null, isComplete, outputs, summary, rollback } = command;
          return {
            state,
            error,
            outcome: { isComplete, outputs, summary, ...(rollback === undefined ? {} : { rollback }) },
          };
        }
        default:
          await this.#record(decisions.splice(0));
          this.#begin(command);
      }
    }
    await this.#record(decisions);
    return null;
  }

  async #record(decisions: readonly Decision[]): Promise<void> {
    const [first, ...rest] = decisions;
    if (first === undefined) return;
    const { runId } = this;
    if (rest.length === 0 && first.kind !== 'note') {
      const state = first.kind === 'skip-step' ? 'skipped' : 'failed';
      const error = first.kind === 'skip-step' ? null : first.error;
      return local.recordControlStep({ runId, path: first.path, state, error });
    }
    this.#mark += 1;
    await local.recordDecisions({ runId, mark: this.#mark, decisions });
  }

  #begin(command: WorkCommand): void {
    this.#start({ command, deadlineMs: deadlineOf(command), isCancelling: false });
  }

  #start(parked: ParkedWork): void {
    const work: Running = { ...parked, scope: null };
    this.#open.set(work.command.path, work);
    if (this.isResting) return;
    const scope = new CancellationScope({ cancellable: true });
    work.scope = scope;
    void scope
      .run(() => carryOut(this, work))
      .then(
        (event) => this.#settle(work, event),
        (error: unknown) => {
          this.#settle(work, 'resting');
          this.#fault ??= { error };
        },
      );
  }

  #settle(work: Running, event: EngineEvent | 'resting'): void {
    work.scope = null;
    if (event === 'resting') return;
    this.#open.delete(work.command.path);
    this.#asked.delete(work.command.path);
    this.#woken.delete(work.command.path);
    this.tell(event);
  }

  #cancel(path: string): void {
    const work = this.#open.get(path);
    if (work === undefined || work.isCancelling) return;
    work.isCancelling = true;
    if (work.scope !== null) return work.scope.cancel();
    // It rests: only its end is left to do.
    const scope = new CancellationScope({ cancellable: false });
    work.scope = scope;
    void scope
      .run(() => carryOut(this, work))
      .then(
        (event) => this.#settle(work, event),
        (error: unknown) => {
          this.#settle(work, 'resting');
          this.#fault ??= { error };
        },
      );
  }
}

/** When a command comes to its end by itself; null: never. */
function deadlineOf(command: WorkCommand): number | null {
  if (command.kind === 'wait') return Date.now() + command.durationMs;
  if (command.kind === 'await-signal') return Date.now() + command.timeoutMs;
  return null;
}
