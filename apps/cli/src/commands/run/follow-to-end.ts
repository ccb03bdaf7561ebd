import type { Entry, RunDetail, RunState, RunSummary, RunTarget } from '@fettle/contracts';
import { ApiClient } from '../../client/api-client.js';
import { followRun, type RunEvent } from '../../client/run-events.js';
import { paintState } from '../../output/colours.js';
import { LiveLine } from '../../output/live-line.js';
import type { Output, OutputFormat } from '../../output/output.js';
import { duration, neutralise, oneLine, plural } from '../../output/text.js';
import { warnUndetermined } from '../../output/undetermined.js';
import { InterruptedError, UnreachableError } from '../../session/errors.js';
import { EXIT, exitCodeOfRun } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';
import { ApprovalPatience } from './approval-patience.js';
import { LogPrinter } from './log-printer.js';
import { lastStderrText } from './last-stderr.js';
import { readRun, readTarget, readWholeRun } from './read-run.js';
import { calendarNote } from '../calendar/calendar-text.js';
import { capacityNote } from './capacity-note.js';
import { rolloutNote } from './rollout-note.js';
import { RunProgress, type BadEnd } from './run-progress.js';
import { paintCounts, writeTargets } from './run-text.js';
import { shown } from './show-run.js';

export interface FollowView {
  readonly format: OutputFormat;
  /** Print what the hosts write, as it comes. */
  readonly logs?: boolean | undefined;
  /** At the end, list only the targets that did not succeed: what the others said has been shown. */
  readonly onlyBad?: boolean | undefined;
  /** How long to wait where the run waits for an approval; absent: not at all. */
  readonly waitApprovalSeconds?: number | undefined;
}

export interface Followed {
  readonly state: RunState;
  readonly exitCode: number;
}

/** Beyond these, failures are only counted while the run goes on; the table at the end has them. */
const MAX_SHOWN_FAILURES = 40;
const REDRAW_MS = 250;

/**
 * Shows a run's progress until it ends, then its table. Ctrl-C leaves the run alone and says how to follow it again.
 * @returns exit code 0, 6, 7 or 8 by the run's state, 130 after Ctrl-C
 */
export async function followToEnd(
  session: Session,
  client: ApiClient,
  run: RunSummary,
  view: FollowView,
): Promise<Followed> {
  const follower = new Follower(session, run, view);
  try {
    const isOver = run.endedAt !== null || (run.state === 'waiting-approval' && view.waitApprovalSeconds === undefined);
    if (!isOver || view.logs === true) await follower.follow(client);
  } catch (error) {
    follower.clear();
    const again = `fettle run follow ${run.id}`;
    if (error instanceof InterruptedError) {
      session.output.note(`Detached; the run goes on. Follow it again: ${again}; end it: fettle run cancel ${run.id}`);
      return { state: run.state, exitCode: EXIT.interrupted };
    }
    if (error instanceof UnreachableError) session.output.note(`Run ${run.id} was accepted. Follow it again: ${again}`);
    throw error;
  }
  follower.clear();
  const ended = await readWholeRun(client, run.id);
  follower.finish(ended);
  // It may have gone on in this very moment; it was left because it waited.
  const state = ended.endedAt === null ? 'waiting-approval' : ended.state;
  return { state, exitCode: exitCodeOfRun(state) };
}

class Follower {
  readonly #output: Output;
  readonly #line: LiveLine;
  readonly #progress: RunProgress;
  readonly #logs: LogPrinter | null;
  readonly #startedAtMs = Date.now();
  #shownFailures = 0;
  #isLost = false;

  constructor(
    private readonly session: Session,
    private readonly run: RunSummary,
    private readonly view: FollowView,
  ) {
    this.#output = session.output;
    this.#line = new LiveLine(session.output.stderr);
    this.#progress = new RunProgress(run.targetCount);
    this.#logs = view.logs === true && view.format === 'table' ? new LogPrinter(session.output) : null;
  }

  async follow(client: ApiClient): Promise<void> {
    const { run } = this;
    const targets = run.targetCount === 0 ? 'without targets' : `on ${plural(run.targetCount, 'target')}`;
    this.#output.note(`Run ${run.id} of ${run.runbook} ${targets}`);
    warnUndetermined(this.#output, run.undeterminedCount);
    const timer = setInterval(() => this.#draw(), REDRAW_MS);
    const patience = new ApprovalPatience(this.view.waitApprovalSeconds);
    const reader = new ApiClient(client.address, AbortSignal.any([client.signal, patience.signal]));
    try {
      for await (const event of followRun(reader, run.id, { logs: this.#logs !== null })) {
        await this.#take(event, client);
        await this.#output.drained();
        if (event.type !== 'entry' || !mayWait(event.data)) continue;
        const isWaiting = await readsWaiting(client, run.id);
        if (isWaiting && patience.isOut) return;
        if (patience.take(isWaiting)) this.#showNote(`It waits for an approval: fettle approval list --run ${run.id}`);
      }
    } catch (error) {
      if (!patience.signal.aborted || client.signal.aborted) throw error;
    } finally {
      patience.end();
      clearInterval(timer);
      this.clear();
      this.#logs?.end();
    }
  }

  clear(): void {
    this.#line.clear();
  }

  async #take(event: RunEvent, client: ApiClient): Promise<void> {
    if (event.type === 'log') {
      this.clear();
      this.#logs?.print(event.data);
    } else if (event.type === 'entry') {
      const bad = this.#progress.take(event.data);
      if (bad !== null) await this.#showFailure(bad, client);
      this.#showNote(rolloutNote(event.data) ?? capacityNote(event.data) ?? calendarNote(event.data));
    } else {
      this.#showConnection(event);
    }
    this.#draw();
  }

  #showNote(note: string | null): void {
    if (note === null) return;
    this.clear();
    this.#output.note(note);
  }

  #showConnection(event: Extract<RunEvent, { type: 'lost' | 'back' }>): void {
    this.#isLost = event.type === 'lost';
    this.clear();
    if (event.type === 'lost') this.#output.warn(`the API is away (${event.reason}); the run goes on, trying again`);
    else this.#output.note('The API is back.');
  }

  async #showFailure({ asset, state, step, message }: BadEnd, client: ApiClient): Promise<void> {
    this.#shownFailures += 1;
    if (this.#shownFailures > MAX_SHOWN_FAILURES) return;
    const target = await this.#readTarget(asset, client);
    // Behind a `finally` that came through, only the target itself has the error still.
    const said = message ?? target?.error?.message ?? null;
    const line = lastStderrText(target, said);
    this.clear();
    const colours = this.#output.errorColours;
    const where = step === null ? '' : ` at ${step}`;
    const why = said === null ? '' : `: ${said}`;
    const what = `${where}${why}${line === '' ? '' : `  ${line}`}`;
    this.#output.stderr.write(`${colours.bold(oneLine(asset))} ${paintState(colours, state)}${oneLine(what)}\n`);
    if (this.#shownFailures === MAX_SHOWN_FAILURES)
      this.#output.note('(further ones are counted; the table at the end names them)');
  }

  /** Where the log is printed anyway, it has been; while the API is away, the table at the end has it. */
  async #readTarget(asset: string, client: ApiClient): Promise<RunTarget | undefined> {
    if (this.#logs !== null) return undefined;
    try {
      return await readTarget(client, this.run.id, asset);
    } catch (error) {
      if (error instanceof UnreachableError) return undefined;
      throw error;
    }
  }

  #draw(): void {
    const { counts, ended, targetCount } = this.#progress;
    const took = duration(Math.floor((Date.now() - this.#startedAtMs) / 100) * 100);
    const text = [
      `${bar(ended, targetCount, this.#output.stderr.isTTY === true)} ${ended}/${targetCount}`,
      ...(['running', 'succeeded', 'failed', 'unreachable', 'quarantined', 'cancelled', 'skipped', 'unknown'] as const)
        .filter((state) => counts[state] > 0)
        .map((state) => `${counts[state]} ${state}`),
      took,
      ...(this.#isLost ? ['waiting for the API'] : []),
    ].join('  ');
    const colours = this.#output.errorColours;
    this.#line.set(neutralise(text), (cut) =>
      cut.replace(/(\d+) (succeeded|failed|unreachable|quarantined|unknown|running)/g, (whole, _count, state: string) =>
        paintState(colours, state).replace(state, whole),
      ),
    );
  }

  /** The table of the ended run on stdout and its last word on stderr. */
  finish(run: RunDetail): void {
    const { output } = this.session;
    if (this.view.format !== 'table') output.data(this.view.format, shown(run), () => '');
    else if (this.view.onlyBad === true)
      writeTargets(output, { ...run, targets: run.targets.filter(({ state }) => state !== 'succeeded') });
    else writeTargets(output, run);
    const took =
      run.startedAt !== null && run.endedAt !== null
        ? ` in ${duration(Date.parse(run.endedAt) - Date.parse(run.startedAt))}`
        : '';
    const state = paintState(output.errorColours, run.state);
    output.stderr.write(`Run ${run.id} ${state}${took}: ${paintCounts(output, run.counts, 'stderr')}\n`);
    if (run.error !== null && run.error.code !== 'targets-failed')
      output.stderr.write(`  ${oneLine(run.error.message)} (${oneLine(run.error.code)})\n`);
    for (const { id, message } of run.approvals ?? []) {
      output.note(
        `It waits for an approval${message === null ? '' : ` (${oneLine(message)})`}: fettle approval show ${id}`,
      );
    }
  }
}

/** Entries about the run itself, other than those of its ordinary course. */
function mayWait({ asset, step, kind }: Entry): boolean {
  return asset === null && step === null && !['run-queued', 'run-started', 'run-ended'].includes(kind);
}

async function readsWaiting(client: ApiClient, id: string): Promise<boolean> {
  return (await readRun(client, id)).state === 'waiting-approval';
}

const BAR_WIDTH = 24;

function bar(done: number, all: number, isTerminal: boolean): string {
  if (!isTerminal) return 'done';
  const filled = all === 0 ? BAR_WIDTH : Math.floor((BAR_WIDTH * done) / all);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
}
