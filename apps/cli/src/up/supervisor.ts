import { FettleError } from '@fettle/contracts';
import { ManagedChild, type ChildSpec, type HealthCheck, type LogSink } from './managed-child.js';
import { delay, type ProcessIdentity } from './process-identity.js';
import { MAX_RESTARTS, RESTART_WINDOW_MS, RestartPolicy } from './restart-policy.js';

export interface SupervisedChild extends ProcessIdentity {
  readonly name: string;
}

export interface SupervisorOptions {
  readonly logFor: (name: string) => LogSink;
  /** Told of every restart, a line each. */
  readonly report: (line: string) => void;
  /** Called whenever the set of running processes has changed. */
  readonly onChange: (children: readonly SupervisedChild[]) => void;
}

interface Entry {
  readonly child: ManagedChild;
  readonly policy: RestartPolicy;
  /** Ends when the child is given up or the stack stops. */
  readonly loop: Promise<void>;
}

/** Keeps children running: restarts what dies or no longer answers, and says so when one dies too often. */
export class Supervisor {
  readonly #entries: Entry[] = [];
  #stopping = false;
  #giveUp: (error: FettleError) => void = () => undefined;

  /** Resolves, if ever, with the reason why the whole stack must stop. */
  readonly gaveUp: Promise<FettleError>;

  constructor(private readonly options: SupervisorOptions) {
    this.gaveUp = new Promise((resolve) => (this.#giveUp = resolve));
  }

  get running(): readonly SupervisedChild[] {
    return this.#entries.flatMap(({ child }) =>
      child.identity === undefined ? [] : [{ name: child.spec.name, ...child.identity }],
    );
  }

  /** Resolves when the child is ready for the first time; rejects when it was given up or the stack stops before. */
  start(spec: ChildSpec): Promise<void> {
    if (this.#stopping) return Promise.reject(stopped(spec.name));
    const child = new ManagedChild(spec, this.options.logFor(spec.name), () => this.#changed());
    const policy = new RestartPolicy();
    return new Promise((resolve, reject) => {
      const loop = this.#keepRunning(child, policy, resolve)
        .catch((error: unknown) => asFettleError(spec.name, error))
        .then((reason) => {
          if (reason !== undefined) this.#giveUp(reason);
          reject(reason ?? stopped(spec.name));
        });
      this.#entries.push({ child, policy, loop });
    });
  }

  /** Stops all children, the one started last first. */
  async stopAll(): Promise<void> {
    this.#stopping = true;
    for (const entry of [...this.#entries].reverse()) {
      let ended = false;
      const loop = entry.loop.then(() => (ended = true));
      // A child that is just being started may appear after the first stop.
      while (!ended) {
        await entry.child.stop();
        await Promise.race([loop, delay(100)]);
      }
    }
    this.#changed();
  }

  /** Ends all children at once, without waiting for their own clean-up. */
  async killAll(): Promise<void> {
    this.#stopping = true;
    const alive = this.#entries.filter(({ child }) => child.identity !== undefined);
    await Promise.all(alive.map(({ child }) => child.kill('SIGKILL')));
  }

  /** @returns why it was given up, or undefined when the stack stops. */
  async #keepRunning(child: ManagedChild, policy: RestartPolicy, ready: () => void): Promise<FettleError | undefined> {
    const { name } = child.spec;
    while (!this.#stopping) {
      const failure = await startFailure(child);
      if (failure === undefined) ready();
      const what = failure?.message ?? (await this.#untilItFails(child));
      this.#changed();
      if (this.#stopping) break;
      const waitMs = policy.nextDelayMs(Date.now());
      if (waitMs === undefined) return tooOften(name, what);
      this.options.report(`${what}; restart ${policy.recentRestarts} of ${MAX_RESTARTS} in ${waitMs} ms`);
      await this.#pause(waitMs);
    }
    return undefined;
  }

  /** @returns what was wrong; by then the child has ended. */
  async #untilItFails(child: ManagedChild): Promise<string> {
    const { name, health } = child.spec;
    if (health !== undefined && (await this.#stopsAnswering(child, health))) {
      await child.stop();
      return `${name} ran but did not answer ${health.maxFailures} times in a row`;
    }
    await child.exited;
    return `${name} ended (${child.describeExit()})`;
  }

  /** @returns false when the child ended or the stack stops first. */
  async #stopsAnswering(child: ManagedChild, health: HealthCheck): Promise<boolean> {
    for (let failures = 0; failures < health.maxFailures;) {
      await this.#pause(health.intervalMs, child);
      if (this.#stopping || child.identity === undefined) return false;
      const healthy = await Promise.race([health.isHealthy(), child.exited.then(() => true)]);
      failures = healthy ? 0 : failures + 1;
    }
    return !this.#stopping && child.identity !== undefined;
  }

  /** A stop need not wait for a back-off to pass, nor the end of a child for its next check. */
  async #pause(durationMs: number, child?: ManagedChild): Promise<void> {
    const endsAtMs = Date.now() + durationMs;
    const over = (): boolean => this.#stopping || (child !== undefined && child.identity === undefined);
    while (!over() && Date.now() < endsAtMs) await delay(Math.min(100, durationMs));
  }

  #changed(): void {
    this.options.onChange(this.running);
  }
}

/** @returns undefined once the child is ready. */
async function startFailure(child: ManagedChild): Promise<Error | undefined> {
  try {
    await child.start();
    return undefined;
  } catch (error) {
    // A child that runs but could not be set up would otherwise be counted as ready.
    await child.stop();
    return error instanceof Error ? error : new Error(String(error));
  }
}

function tooOften(name: string, what: string): FettleError {
  return new FettleError({
    code: 'child-gave-up',
    message: `${what}; it was restarted ${MAX_RESTARTS} times in ${RESTART_WINDOW_MS / 1000} s, so everything is stopped`,
    remedy: `See the log of ${name} in the data directory's folder logs.`,
  });
}

function asFettleError(name: string, cause: unknown): FettleError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return cause instanceof FettleError
    ? cause
    : new FettleError({ code: 'supervisor', message: `${name}: ${message}`, cause });
}

function stopped(name: string): FettleError {
  return new FettleError({ code: 'stopped', message: `${name} was not started, because everything is being stopped` });
}
