import type { ClaimedRun, Decision } from '@fettle/activities';
import { advance, type EngineCommand, type EngineEvent, type EngineState, type WorkCommand } from '@fettle/runbook';
import { CancellationScope, condition, isCancellation, workflowInfo } from '@temporalio/workflow';
import { local } from './activities.js';
import { BareScope } from './bare-scope.js';
import { endCancelled, perform } from './carry-out.js';
import { deadlineOf, endOf, isPlain, isWork, writeDecisions, type Ended } from './decisions.js';
import { isLaneOver } from './segments.js';
import type { OpenWork, Settled, Work } from './work.js';

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
  scope: BareScope | null;
  /** It was cancelled, and what is under way is its end, which nothing stops. */
  isEnding: boolean;
}

/** Scopes that are kept for the next command. */
const MAX_SPARE_SCOPES = 8;

/**
 * Drives the engine of one run: events go into it one after the other, what it commands is carried out beside each other, and whatever
 * ends is the next event. Where the history has grown long, everything comes to rest, and the next execution goes on with it.
 *
 * What is done for each command makes as few promises as can be: the SDK looks at each one that a workflow makes.
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
  /** The database may have it otherwise meanwhile. */
  #mustRestate = false;
  /** Paths of the steps that have asked. */
  readonly #asked = new Set<string>();
  #isCancelNoticed: boolean;
  /** Why the run cannot go on. */
  #fault: { readonly error: unknown } | null = null;
  /** Who waits for the end of the run; null: nobody yet, or no more. */
  #driver: { readonly resolve: (end: Ended | Resume) => void; readonly reject: (error: unknown) => void } | null = null;
  /** An event is with the engine, or what it decided is being written. */
  #isTurning = false;
  /** The scope that the run itself is in, which nothing cancels. */
  readonly #home = CancellationScope.current();
  /** For a scope that wants a promise: one for all. */
  readonly #done = Promise.resolve();
  /** Of commands that ended without having been cancelled. */
  readonly #spareScopes: BareScope[] = [];

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
    this.#turn();
  }

  /** The run was cancelled, whoever found out first: a lane, a step, or Temporal. */
  noticeCancel(): void {
    if (this.#isCancelNoticed) return;
    this.#isCancelNoticed = true;
    this.tell({ kind: 'cancel-requested' });
  }

  noticeAsked(path: string): void {
    // A decision that turned out to be void may have taken the run out of waiting: it is said again.
    if (this.#asked.has(path)) this.#mustRestate = true;
    this.#asked.add(path);
    this.#turn();
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

  /** Settles when the run has ended, when everything has come to rest, or when the run cannot go on. */
  drive(): Promise<Ended | Resume> {
    return new Promise((resolve, reject) => {
      this.#driver = { resolve, reject };
      this.#turn();
    });
  }

  /** Ends everything that is open and waits for it: the run may end only when nothing is in flight any more. */
  async abandon(): Promise<void> {
    for (const path of [...this.#open.keys()]) this.#cancel(path);
    if (!this.#isAtRest) await condition(() => this.#isAtRest);
  }

  /**
   * Called wherever something may have changed: goes on for as long as there is something to do, one thing after the other. Whoever
   * calls may be inside of the scope of a command, which may be cancelled: what is decided here is begun in the run's own.
   */
  #turn(): void {
    if (this.#isTurning || this.#driver === null) return;
    this.#isTurning = true;
    void this.#home.run(() => {
      this.#goOn();
      return this.#done;
    });
  }

  #goOn(): void {
    try {
      let writing: Promise<void> | null = null;
      while (writing === null && this.#driver !== null && this.#hasWork) writing = this.#next();
      if (writing === null) {
        this.#isTurning = false;
        return;
      }
      void writing.then(
        () => {
          this.#isTurning = false;
          this.#turn();
        },
        (error: unknown) => this.#stop('reject', error),
      );
    } catch (error) {
      this.#stop('reject', error);
    }
  }

  get #hasWork(): boolean {
    return this.#events.length > 0 || this.#fault !== null || this.#hasComeToRest || this.#isMisstated;
  }

  /** Does the next thing; what it has to write first is a promise. */
  #next(): Promise<void> | null {
    if (this.#fault !== null) throw this.#fault.error;
    if (this.#isMisstated) {
      this.#isWaiting = this.#onlyAsks;
      this.#mustRestate = false;
      return local.setWaitingApproval({ runId: this.runId, isWaiting: this.#isWaiting });
    }
    const event = this.#events.shift();
    if (event === undefined) {
      this.#stop('resolve', this.#resume());
      return null;
    }
    const { state, commands } = advance(this.claimed.program, this.#state, event);
    this.#state = state;
    const [only] = commands;
    if (only?.kind === 'finish' && this.#isAtRest) {
      this.#stop('resolve', endOf(only, this.claimed, this.#state));
    } else if (commands.every(isWork)) {
      for (const command of commands) this.#begin(command);
      this.#expectWork();
    } else {
      return this.#carryOutAll(commands);
    }
    return null;
  }

  #stop(...how: ['resolve', Ended | Resume] | ['reject', unknown]): void {
    const driver = this.#driver;
    this.#driver = null;
    this.#isTurning = false;
    if (how[0] === 'resolve') driver?.resolve(how[1]);
    else driver?.reject(how[1]);
  }

  #expectWork(): void {
    if (this.#open.size > 0 || this.#events.length > 0) return;
    throw new Error('the engine gave no command to wait for');
  }

  get #isMisstated(): boolean {
    return this.#onlyAsks !== this.#isWaiting || (this.#mustRestate && this.#onlyAsks);
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
    return this.isResting && this.#isAtRest;
  }

  get #isAtRest(): boolean {
    for (const { scope } of this.#open.values()) if (scope !== null) return false;
    return true;
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
  async #carryOutAll(commands: readonly EngineCommand[]): Promise<void> {
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
        case 'finish':
          await this.#record(decisions.splice(0));
          await this.abandon();
          return this.#stop('resolve', endOf(command, this.claimed, this.#state));
        default:
          await this.#record(decisions.splice(0));
          this.#begin(command);
      }
    }
    await this.#record(decisions);
    this.#expectWork();
  }

  async #record(decisions: readonly Decision[]): Promise<void> {
    if (decisions.length === 0) return;
    // One that carries no data needs no mark: its row in the journal is enough.
    if (!isPlain(decisions)) this.#mark += 1;
    await writeDecisions(this.runId, this.#mark, decisions);
  }

  #begin(command: WorkCommand): void {
    this.#start({ command, deadlineMs: deadlineOf(command), isCancelling: false });
  }

  #start(parked: ParkedWork): void {
    const work: Running = { ...parked, scope: null, isEnding: false };
    this.#open.set(work.command.path, work);
    if (this.isResting) return;
    if (work.isCancelling) return this.#end(work);
    const scope = this.#spareScopes.pop() ?? new BareScope({ cancellable: true });
    work.scope = scope;
    void scope
      .run(() => perform(this, work))
      .then(
        (event) => {
          if (!scope.consideredCancelled && this.#spareScopes.length < MAX_SPARE_SCOPES) this.#spareScopes.push(scope);
          this.#settle(work, event);
        },
        (error: unknown) => {
          if (!isCancellation(error) && !isLaneOver(work, error)) return this.#break(work, error);
          const isNews = !work.isCancelling;
          this.#end(work);
          // A lane has seen the cancel (or the end) in Postgres before Temporal told this workflow.
          if (isNews) this.noticeCancel();
        },
      );
  }

  /** One that is cancelled ends, too. */
  #end(work: Running): void {
    const scope = new BareScope({ cancellable: false });
    work.scope = scope;
    work.isEnding = true;
    void scope
      .run(() => endCancelled(this, work))
      .then(
        (event) => this.#settle(work, event),
        (error: unknown) => this.#break(work, error),
      );
  }

  #settle(work: Running, event: Settled): void {
    work.scope = null;
    if (event === 'resting') return this.#turn();
    for (const paths of [this.#open, this.#asked, this.#woken]) paths.delete(work.command.path);
    this.tell(event);
  }

  #break(work: Running, error: unknown): void {
    this.#fault ??= { error };
    this.#settle(work, 'resting');
  }

  #cancel(path: string): void {
    const work = this.#open.get(path);
    if (work === undefined || work.isCancelling) return;
    work.isCancelling = true;
    // It rests: only its end is left to do.
    if (work.scope === null) this.#end(work);
    else if (!work.isEnding) work.scope.cancel();
  }
}
