import 'reflect-metadata';
import { parseConfig, WORKER_DRAIN_MS, WORKER_STOP_MS } from '@fettle/config';
import { errorForLog } from '@fettle/contracts';
import { pino } from 'pino';
import { startWorker, type RunningWorker } from './start-worker.js';
import { keepNoPromiseStacks } from './workflow-threads.js';

const config = parseConfig(process.env);
const logger = pino(
  { level: config.logLevel, name: 'worker', serializers: { err: (error: unknown) => errorForLog(error) } },
  process.stderr,
);
let stopping = false;
keepNoPromiseStacks();

try {
  const worker = await startWorker(config, logger);
  process.stdout.write(`${JSON.stringify({ msg: 'ready', pid: process.pid })}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopOnce(worker, signal));
  await worker.stopped;
  process.exit(0);
} catch (error) {
  logger.fatal({ err: error }, 'the worker cannot go on');
  process.exit(1);
}

function stopOnce(worker: RunningWorker, signal: NodeJS.Signals): void {
  if (stopping) return;
  stopping = true;
  const drainSeconds = WORKER_DRAIN_MS / 1000;
  logger.info({ signal }, `stopping: what is in flight may end within ${drainSeconds} s, nothing new is claimed`);
  // No tidying up then: a connection that is closed would make a failure of what another worker can still settle.
  setTimeout(() => {
    logger.warn('stopped with work in flight; another worker settles it as after a crash');
    process.exit(1);
  }, WORKER_STOP_MS).unref();
  worker.drain();
}
