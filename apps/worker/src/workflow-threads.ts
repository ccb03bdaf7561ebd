import worker, { type WorkerOptions } from 'node:worker_threads';

/** The thread that the SDK executes workflows in; nothing of its options can be set where the SDK makes it. */
const WORKFLOW_THREAD = /\/workflow-worker-thread(\.js)?$/;
const PRELOAD = new URL('./without-promise-stacks.js', import.meta.url);

/**
 * Threads of workflows made after this keep no stack trace of each promise. The SDK does so for its query `__stack_trace`, for which it has
 * no switch (temporalio/sdk-typescript issue 1587); at 0.1 ms of CPU a promise it is more than half of what a workflow thread does.
 */
export function keepNoPromiseStacks(): void {
  const { Worker } = worker;
  worker.Worker = class extends Worker {
    constructor(file: string | URL, options: WorkerOptions = {}) {
      const isForWorkflows = WORKFLOW_THREAD.test(String(file));
      super(
        file,
        isForWorkflows ? { ...options, execArgv: [...(options.execArgv ?? []), '--import', PRELOAD.href] } : options,
      );
    }
  };
}
