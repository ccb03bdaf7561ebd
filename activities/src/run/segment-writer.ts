import {
  finishAttempts,
  hasFinished,
  lockRun,
  lockRunForLanes,
  notifyRun,
  parkAttempts,
  readClaims,
  releaseClaims,
  saveLockedRun,
  staleLane,
  type ClaimedTarget,
  type ClaimRequest,
  type LockedRun,
  type Transaction,
} from '@fettle/database';
import { effectToken } from '@fettle/security';
import { claimAttempts } from './claim-attempts.js';
import { DATABASE_PATIENCE_MS, withDatabasePatience } from './database-retry.js';
import type { LaneInput } from './lane-input.js';
import type { Turn, Written } from './lane-turn.js';
import { mayReadFacts, type KnownRun } from './load-run.js';
import { quarantine } from './quarantine.js';
import { Secrets } from './secrets.js';
import type { WorkerServices } from './services.js';
import { keptSteps } from './stop-targets.js';
import { Together } from './together.js';

/** A segment as all of its lanes serve it. */
type Segment = Omit<LaneInput, 'lane'>;

/** A turn, and how long the database is waited for. */
interface DueTurn {
  readonly turn: Turn;
  readonly givesUpAtMs: number;
}

/** Readers of a run are woken at most this often by the lanes of one process. */
const NOTIFY_INTERVAL_MS = 300;
/** A credential that was changed is opened anew after at most this. */
const SECRETS_LIFETIME_MS = 60_000;

/** What became of a turn: null where its lane was taken over. */
type TurnEnd = Written | null;

interface WrittenTurns {
  /** In the order of the turns. */
  readonly ends: readonly TurnEnd[];
  /** The run's readers have something to read. */
  readonly isChanged: boolean;
}

/**
 * Writes the turns of the lanes of one segment that this process serves. All of them need the lock of the run, one after the other: those
 * that come while one is being written are written together, in one transaction, where each statement is for all of them.
 */
export class SegmentWriter {
  readonly #services: WorkerServices;
  readonly #run: KnownRun;
  readonly #segment: Segment;
  readonly #needsFacts: boolean;
  readonly #onIdle: () => void;
  readonly #turns = new Together<DueTurn, TurnEnd>((turns, isRepeated) => this.#writeTogether(turns, isRepeated));
  #lanes = 0;
  #secrets: Secrets | null = null;
  #secretsSinceMs = 0;
  #lastNotifyMs = 0;
  #notifyOwed = false;

  constructor(services: WorkerServices, run: KnownRun, segment: Segment, onIdle: () => void) {
    this.#services = services;
    this.#run = run;
    this.#segment = segment;
    this.#needsFacts = mayReadFacts(run);
    this.#onIdle = onIdle;
  }

  join(): void {
    this.#lanes += 1;
  }

  leave(): void {
    this.#lanes -= 1;
    if (this.#lanes === 0) this.#onIdle();
  }

  /** Credentials that any of the lanes has opened lately. */
  get secrets(): Secrets {
    if (this.#secrets === null || Date.now() - this.#secretsSinceMs > SECRETS_LIFETIME_MS) {
      this.#secrets = new Secrets(this.#services, this.#run.space);
      this.#secretsSinceMs = Date.now();
    }
    return this.#secrets;
  }

  /** Tells the run's readers of what the lanes have written; `now`: whatever they were told lately. */
  async notify(now: boolean): Promise<void> {
    if (!this.#notifyOwed || (!now && Date.now() - this.#lastNotifyMs < NOTIFY_INTERVAL_MS)) return;
    this.#notifyOwed = false;
    this.#lastNotifyMs = Date.now();
    await withDatabasePatience(() => notifyRun(this.#services.dataSource.manager, this.#segment.runId));
  }

  /**
   * Writes what has ended in a lane and claims for it what is due.
   * @throws FettleError `stale-lane`; whatever hinders this turn also where it is written by itself
   */
  async write(turn: Turn): Promise<Written> {
    const end = await this.#turns.take({ turn, givesUpAtMs: Date.now() + DATABASE_PATIENCE_MS });
    if (end === null) throw staleLane(turn.claim);
    return end;
  }

  /** `isRepeated`: a transaction with these turns was begun before, and may have been committed. */
  async #writeTogether(due: readonly DueTurn[], isRepeated: boolean): Promise<readonly TurnEnd[]> {
    const turns = due.map(({ turn }) => turn);
    const { ends, isChanged } = await withDatabasePatience(
      (attempt) =>
        this.#services.dataSource.transaction(async (transaction) => {
          if (attempt > 0 || isRepeated) await this.#repeat(transaction, turns);
          return this.#write(transaction, turns);
        }),
      (error) => this.#services.logger.warn({ err: error, runId: this.#segment.runId }, 'waiting for the database'),
      // What may be the fault of one of them is not waited for by the others.
      due.length === 1 ? due[0]!.givesUpAtMs - Date.now() : 0,
    );
    if (isChanged) this.#notifyOwed = true;
    return ends;
  }

  async #write(transaction: Transaction, turns: readonly Turn[]): Promise<WrittenTurns> {
    const claims = turns.map(({ claim }) => claim);
    const { run, held } = await lockRunForLanes(transaction, this.#segment.runId, claims);
    const live = turns.filter(({ claim }) => held.has(claim));
    const [seqBefore, countsBefore] = [run.seq, JSON.stringify(run.counts)];
    const logs = live.flatMap((turn) => turn.logs);
    await finishAttempts(transaction, run, live, logs);
    await parkAttempts(transaction, run.id, live);
    let lastSeq = seqBefore;
    for (const turn of live) turn.lastSeq = lastSeq += turn.logs.length;
    for (const end of live.flatMap(({ ends }) => ends)) {
      if (end.state === 'quarantined' && end.error?.code === 'host-key-mismatch') {
        await quarantine(transaction, this.#run, end.assetId, end.error.message);
      }
    }
    const written = new Map<Turn, Written>(live.map((turn) => [turn, { claim: null, attempts: [] }]));
    const ending = new Set(live.filter((turn) => turn.isEnding()));
    for (const isEnding of [false, true]) {
      const looking = live.filter((turn) => turn.looks && ending.has(turn) === isEnding);
      if (looking.length > 0) await this.#claim(transaction, run, { turns: looking, isEnding }, written);
    }
    // A claim of attempts that are known moves counters and writes no entry.
    const isChanged = run.seq > seqBefore || JSON.stringify(run.counts) !== countsBefore;
    if (isChanged) await saveLockedRun(transaction, run);
    return { ends: turns.map((turn) => written.get(turn) ?? null), isChanged };
  }

  /** Claims for all of these lanes; each gets what it is to carry out. */
  async #claim(
    transaction: Transaction,
    run: LockedRun,
    { turns, isEnding }: { readonly turns: readonly Turn[]; readonly isEnding: boolean },
    written: Map<Turn, Written>,
  ): Promise<void> {
    const { firstStep, onlyFinally: onlyStopped } = this.#segment;
    const first = turns[0]!;
    const request: ClaimRequest & { readonly isLast?: boolean } = {
      ...{ wave: 1, ...this.#segment, ...first.claim, onlyStopped, isEnding },
      firstStepId: this.#pathOf(firstStep),
      limit: turns.reduce((sum, { wanted }) => sum + wanted, 0),
      seats: turns.map(({ claim: { lane, laneEpoch }, wanted: count }) => ({ lane, laneEpoch, count })),
      keptSteps: onlyStopped === true ? [] : keptSteps(this.#run, this.#segment),
    };
    const { claim, attempts } = await claimAttempts(transaction, run, request, {
      loaded: this.#run,
      ...{ item: this.#segment.item ?? {}, known: this.#segment.outputs ?? {} },
      needsFacts: this.#needsFacts,
      pathOf: (stepIndex) => this.#pathOf(stepIndex),
      token: (target, path, runId) => this.#token(target, path, runId),
    });
    for (const turn of turns) {
      const isOwn = ({ lane }: ClaimedTarget): boolean => lane === turn.claim.lane;
      written.set(turn, {
        claim: claim && { ...claim, targets: claim.targets.filter(isOwn) },
        attempts: attempts.filter(({ target }) => isOwn(target)),
      });
    }
  }

  /**
   * The answer to a commit may have been lost. Where that transaction did commit, ends and logs of these turns stand and are not written
   * again; what it claimed was never started here, so it goes back.
   */
  async #repeat(transaction: Transaction, turns: readonly Turn[]): Promise<void> {
    // Waits for that transaction, should the server be at it still.
    const run = await lockRun(transaction, this.#segment.runId);
    for (const turn of turns) {
      if (turn.lastSeq > 0 && (await hasFinished(transaction, run.id, turn))) {
        turn.ends = [];
        turn.logs = [];
      }
      const known = new Set([...[...turn.ends, ...turn.parked].map(({ assetId }) => assetId), ...turn.known()]);
      const claimed = await readClaims(transaction, turn.claim);
      const unstarted = claimed.filter((assetId) => !known.has(assetId));
      await releaseClaims(transaction, run, turn.claim, unstarted);
    }
    await saveLockedRun(transaction, run);
  }

  /** What the journal calls a step of this segment. */
  #pathOf(stepIndex: number): string {
    return `${this.#segment.prefix ?? ''}${this.#run.targetCodes[stepIndex]!.path}`;
  }

  #token(target: Pick<ClaimedTarget, 'assetId' | 'generation'>, stepPath: string, runId = this.#run.runId): string {
    const { assetId, generation } = target;
    return effectToken(this.#services.tokenKey, { runId, stepPath, assetId, phase: 'do', generation });
  }
}

const writers = new WeakMap<WorkerServices, Map<string, SegmentWriter>>();

/** The writers of the segments whose lanes this process serves. */
export const segmentWriters = {
  of(services: WorkerServices, run: KnownRun, { lane: _lane, ...segment }: LaneInput): SegmentWriter {
    const known = writers.get(services) ?? new Map<string, SegmentWriter>();
    writers.set(services, known);
    const key = JSON.stringify(segment);
    const writer = known.get(key) ?? new SegmentWriter(services, run, segment, () => known.delete(key));
    known.set(key, writer);
    return writer;
  },
};
