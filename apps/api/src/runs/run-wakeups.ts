import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { NotificationListener } from '@fettle/database';
import { ApiLogger } from '../common/logger.js';
import { API_SETTINGS, type ApiSettings } from '../settings.js';

/** Tells one reader that its run may have something new. */
export interface Wakeup {
  /** Resolves when the run was notified since the last call, or after `timeoutMs`, or when the wakeup is closed. */
  readonly next: (timeoutMs: number) => Promise<void>;
  readonly close: () => void;
}

/** Shares the process's one listening connection among all readers of runs. */
@Injectable()
export class RunWakeups implements OnModuleInit, OnApplicationShutdown {
  readonly #readers = new Map<string, Set<() => void>>();
  readonly #listener: NotificationListener;

  constructor(@Inject(API_SETTINGS) settings: ApiSettings, logger: ApiLogger) {
    this.#listener = new NotificationListener({
      url: settings.databaseUrl,
      channel: 'fettle_run',
      applicationName: 'fettle-api-listen',
      onNotification: (runId) => this.#wake(runId),
      onGap: () => this.#wakeAll(),
      onError: (error) => logger.warn(`the connection that listens for runs was lost: ${String(error)}`),
    });
  }

  onModuleInit(): Promise<void> {
    return this.#listener.start();
  }

  onApplicationShutdown(): Promise<void> {
    return this.#listener.close();
  }

  subscribe(runId: string): Wakeup {
    // Set by a notification that comes while the reader reads, so that it is not lost before the reader waits.
    let isPending = false;
    let resume: (() => void) | null = null;
    const wake = (): void => {
      isPending = true;
      resume?.();
    };
    const readers = this.#readers.get(runId) ?? new Set();
    readers.add(wake);
    this.#readers.set(runId, readers);
    return {
      next: async (timeoutMs) => {
        if (!isPending) {
          let timer: NodeJS.Timeout | undefined;
          await new Promise<void>((resolve) => {
            resume = resolve;
            timer = setTimeout(resolve, timeoutMs);
          });
          clearTimeout(timer);
          resume = null;
        }
        isPending = false;
      },
      close: () => {
        readers.delete(wake);
        if (readers.size === 0 && this.#readers.get(runId) === readers) this.#readers.delete(runId);
        wake();
      },
    };
  }

  #wake(runId: string): void {
    for (const wake of this.#readers.get(runId) ?? []) wake();
  }

  #wakeAll(): void {
    for (const readers of this.#readers.values()) for (const wake of readers) wake();
  }
}
