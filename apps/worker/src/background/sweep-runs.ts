import {
  findEndedBefore,
  listOpenRuns,
  lockOpenRun,
  type EndedRunState,
  type OpenRun,
  type Transaction,
} from '@fettle/database';
import { endLostRun } from '@fettle/operations';
import {
  listOpenAmong,
  listOpenRunWorkflows,
  readStanding,
  terminateWorkflow,
  type TemporalClient,
  type WorkflowStanding,
} from '@fettle/temporal';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { BackgroundTask, Round } from './run-loop.js';

/** A run whose start was sent this long ago must be known to Temporal. */
const SETTLE_AFTER_MS = 5_000;
/** A run's own timer ends it at its deadline; when it has not by so long after, its workflow cannot go on. */
const OVERDUE_MS = 10 * 60_000;
/** A workflow that is still open so long after its run ended is not about to finish by itself. */
const ENDED_BEFORE_MS = 30_000;
const BATCH = 500;
/** Runs that Temporal is asked for at once by its list. */
const LISTED_AT_ONCE = 100;
/** The list may be wrong for ever: of the runs that it has as open, one in so many is asked for by itself, another one each time. */
const ASKED_EACH = 8;
/** Calls under way for those that are not in the list: one a run. */
const CONCURRENT_CALLS = 16;
/** Each half of a round stops after this and goes on from there in the next one. */
const BUDGET_MS = 15_000;
/** Whoever holds a run's lock for longer holds up that run alone. */
const LOCK_TIMEOUT = '5s';
/** So many of what failed in a round are named in the log. */
const MAX_NAMED = 5;

/**
 * Compares open rows with Temporal both ways: a row whose workflow is gone, closed or stuck beyond the run's deadline is ended with
 * the reason, a workflow whose row has ended is terminated. So nothing says "running" for ever. Each run has a transaction of its
 * own, beside the one that holds the task's lock: one that fails, or that Temporal does not answer for, costs no other anything.
 */
export function sweepRuns(
  dataSource: DataSource,
  temporal: TemporalClient,
  logger: Pick<Logger, 'warn'>,
  batch = BATCH,
): BackgroundTask {
  const sweep = new RunSweep(dataSource, temporal, logger, batch);
  return { name: 'sweep-runs', intervalMs: 15_000, round: (transaction) => sweep.round(transaction) };
}

class RunSweep {
  /** Id of the last run that was compared; null: the next page is the first. */
  #afterRun: string | null = null;
  #nextPage: Uint8Array | null = null;
  /** How often all rows were gone through. */
  #passes = 0;
  #failures: { readonly subject: string; readonly error: unknown }[] = [];

  constructor(
    private readonly dataSource: DataSource,
    private readonly temporal: TemporalClient,
    private readonly logger: Pick<Logger, 'warn'>,
    private readonly batch: number,
  ) {}

  async round(transaction: Transaction): Promise<Round> {
    this.#failures = [];
    await this.#compareRows(transaction, Date.now() + BUDGET_MS);
    await this.#compareWorkflows(transaction, Date.now() + BUDGET_MS);
    const first = this.#failures[0];
    if (first) {
      const subjects = this.#failures.slice(0, MAX_NAMED).map(({ subject }) => subject);
      this.logger.warn(
        { err: first.error, subjects, count: this.#failures.length },
        'runs could not be compared with Temporal; the next sweep tries again',
      );
    }
    return { more: this.#afterRun !== null || this.#nextPage !== null };
  }

  async #compareRows(transaction: Transaction, untilMs: number): Promise<void> {
    do {
      const rows = await listOpenRuns(transaction, {
        sentBeforeMs: SETTLE_AFTER_MS,
        overdueMs: OVERDUE_MS,
        after: this.#afterRun,
        limit: this.batch,
      });
      for (let done = 0; done < rows.length; done += LISTED_AT_ONCE) {
        if (done > 0 && Date.now() > untilMs) return;
        const some = rows.slice(done, done + LISTED_AT_ONCE);
        if (!(await this.#compareSome(some, untilMs))) return;
        this.#afterRun = some.at(-1)!.runId;
      }
      if (rows.length < this.batch) {
        this.#afterRun = null;
        this.#passes += 1;
      }
    } while (this.#afterRun !== null && Date.now() <= untilMs);
  }

  /**
   * Asks for those that the list does not have as open, and a few of the others, then ends one after the other: one connection is enough.
   * @returns whether there was time for all
   */
  async #compareSome(rows: readonly OpenRun[], untilMs: number): Promise<boolean> {
    const sent = rows.filter((row) => row.startSettled).map((row) => row.workflowId);
    const open = await this.#attempt('list of open runs', () => listOpenAmong(this.temporal, sent));
    const isTrusted = (row: OpenRun): boolean => open?.has(row.workflowId) === true && !this.#isAskedNow(row);
    const asked = rows.filter((row) => !isTrusted(row));
    const found: { row: OpenRun; standing: Standing | undefined }[] = rows
      .filter(isTrusted)
      .map((row) => ({ row, standing: 'open' }));
    let done = 0;
    for (; done < asked.length && (done === 0 || Date.now() <= untilMs); done += CONCURRENT_CALLS) {
      const some = asked.slice(done, done + CONCURRENT_CALLS).map(async (row) => {
        const standing = await this.#attempt(row.workflowId, () => this.#standingOf(row));
        return { row, standing };
      });
      found.push(...(await Promise.all(some)));
    }
    for (const { row, standing } of found) {
      if (standing === undefined || faultOf(row, standing) === null) continue;
      await this.#attempt(row.workflowId, () => this.#end(row, standing));
    }
    return done >= asked.length;
  }

  /** By the last digit of the id, which is random. */
  #isAskedNow({ runId }: OpenRun): boolean {
    return Number.parseInt(runId.slice(-1), 16) % ASKED_EACH === this.#passes % ASKED_EACH;
  }

  async #standingOf(row: OpenRun): Promise<Standing> {
    return row.startSettled ? readStanding(this.temporal, row.workflowId) : 'unsent';
  }

  async #end(row: OpenRun, standing: Standing): Promise<void> {
    const fault = await this.dataSource.transaction(async (own) => {
      await own.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`);
      // It may have ended, or been taken up with a new deadline, since it was listed.
      const current = await lockOpenRun(own, row.runId, SETTLE_AFTER_MS);
      const confirmed = current === null ? null : faultOf(current, standing);
      if (current !== null && confirmed !== null) await endLostRun(own, current, confirmed);
      return confirmed;
    });
    if (fault === null) return;
    this.logger.warn({ runId: row.runId, code: fault.code }, 'ended a run that its workflow cannot end');
    // Should this fail, the workflow is found with its ended row.
    if (standing === 'open') await terminateWorkflow(this.temporal, row.workflowId, fault.message);
  }

  async #compareWorkflows(transaction: Transaction, untilMs: number): Promise<void> {
    do {
      const page = await this.#attempt('open workflows', () =>
        listOpenRunWorkflows(this.temporal, this.#nextPage, this.batch),
      );
      // A mark that the server does not take (any more) would fail for ever.
      this.#nextPage = page?.next ?? null;
      for (const workflowId of await findEndedBefore(transaction, page?.workflowIds ?? [], ENDED_BEFORE_MS)) {
        this.logger.warn({ workflowId }, 'terminating a workflow whose run has ended');
        await this.#attempt(workflowId, () => terminateWorkflow(this.temporal, workflowId, 'its run has ended'));
      }
    } while (this.#nextPage !== null && Date.now() <= untilMs);
  }

  /** Undefined: it failed, which is noted. */
  async #attempt<Result>(subject: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#failures.push({ subject, error });
      return undefined;
    }
  }
}

/** `unsent`: the start has not reached Temporal, as far as is known. */
type Standing = WorkflowStanding | 'unsent';

interface Fault {
  readonly state: EndedRunState;
  readonly code: 'workflow-missing' | 'workflow-closed' | 'deadline-passed';
  readonly message: string;
}

function faultOf(row: OpenRun, standing: Standing): Fault | null {
  const { workflowId } = row;
  if (standing === 'missing') {
    const message = `Temporal has no workflow ${workflowId}, but the run had not ended.`;
    return { state: 'failed', code: 'workflow-missing', message };
  }
  if (standing === 'closed') {
    const message = `Temporal has closed the workflow ${workflowId}, but the run had not ended.`;
    return { state: 'failed', code: 'workflow-closed', message };
  }
  if (row.overdueMs < OVERDUE_MS) return null;
  const reason = standing === 'unsent' ? 'its start could not be sent to Temporal' : 'its workflow has not ended it';
  const message = `The run is ${Math.round(row.overdueMs / 60_000)} minutes past its deadline, and ${reason}.`;
  return { state: 'timed-out', code: 'deadline-passed', message };
}
