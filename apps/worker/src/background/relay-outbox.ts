import {
  deleteSentCommands,
  markCommandFailed,
  markCommandsSent,
  readDueCommands,
  type StoredCommand,
  type Transaction,
} from '@fettle/database';
import { sendCommand, type TemporalClient } from '@fettle/temporal';
import type { Logger } from 'pino';
import type { BackgroundTask } from './run-loop.js';

const CONCURRENT_CALLS = 100;
/** When so many calls have ended, or so long after the last look, others take their places: one that hangs holds up nobody. */
const TOP_UP_CALLS = 25;
const TOP_UP_MS = 250;
/** A round takes up no more after this: what it sent is committed then, and would be sent again if the process died before. */
const BUDGET_MS = 2_000;
/**
 * With more calls under way than this, runs begin where a worker is free. Otherwise this process would begin all of a burst, beside workers
 * that have nothing to do, and would hardly come to start the rest.
 */
const BEGIN_HERE = 10;
const CLEAN_UP_MS = 3_600_000;

/**
 * Sends what committed changes asked of Temporal. A command that was sent but not marked (the process died) is sent again, which
 * changes nothing.
 */
export function relayOutbox(temporal: TemporalClient, logger: Logger): BackgroundTask {
  let cleanUpAtMs = 0;
  return {
    name: 'relay-outbox',
    intervalMs: 500,
    async round(transaction) {
      const nowMs = performance.now();
      if (nowMs >= cleanUpAtMs) {
        await deleteSentCommands(transaction);
        cleanUpAtMs = nowMs + CLEAN_UP_MS;
      }
      const untilMs = nowMs + BUDGET_MS;
      const calls = new Calls(temporal, logger);
      let hasSent = false;
      do {
        hasSent = (await calls.mark(transaction)) || hasSent;
        if (performance.now() < untilMs) await calls.take(transaction);
        await calls.someEnded();
      } while (calls.areOpen);
      return { more: hasSent };
    },
  };
}

/** Commands that are on their way to Temporal, or were sent and are not marked yet. */
class Calls {
  readonly #open = new Set<number>();
  #inFlight = 0;
  #sent: number[] = [];
  #failed: { readonly id: number; readonly message: string }[] = [];
  #tellEnded: () => void = () => undefined;

  constructor(
    private readonly temporal: TemporalClient,
    private readonly logger: Logger,
  ) {}

  get areOpen(): boolean {
    return this.#open.size > 0;
  }

  /** Sends as many more as there is room for. */
  async take(transaction: Transaction): Promise<void> {
    const commands = await readDueCommands(transaction, CONCURRENT_CALLS - this.#inFlight, [...this.#open]);
    for (const command of commands) {
      this.#open.add(command.id);
      this.#inFlight += 1;
      void this.#send(command);
    }
  }

  /** Returns when enough have ended to look for others, or all. */
  async someEnded(): Promise<void> {
    const enough = Math.max(0, this.#inFlight - TOP_UP_CALLS);
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, TOP_UP_MS);
      this.#tellEnded = () => {
        if (this.#inFlight > enough) return;
        clearTimeout(timer);
        resolve();
      };
      this.#tellEnded();
    });
  }

  /** Writes down what became of those that have ended. @returns whether some were sent */
  async mark(transaction: Transaction): Promise<boolean> {
    const [sent, failed] = [this.#sent, this.#failed];
    [this.#sent, this.#failed] = [[], []];
    if (sent.length > 0) await markCommandsSent(transaction, sent);
    for (const { id, message } of failed) await markCommandFailed(transaction, id, message);
    for (const id of [...sent, ...failed.map((one) => one.id)]) this.#open.delete(id);
    return sent.length > 0;
  }

  async #send(command: StoredCommand): Promise<void> {
    const { id, kind, subject } = command;
    try {
      await sendCommand(this.temporal, command, this.#inFlight <= BEGIN_HERE);
      this.#sent.push(id);
    } catch (error) {
      this.#failed.push({ id, message: error instanceof Error ? error.message : String(error) });
      this.logger.warn({ err: error, kind, subject }, 'Temporal did not take a command');
    } finally {
      this.#inFlight -= 1;
      this.#tellEnded();
    }
  }
}
