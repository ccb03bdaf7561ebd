import 'reflect-metadata';
import { parseConfig } from '@fettle/config';
import { errorForLog } from '@fettle/contracts';
import { pino } from 'pino';
import { startWorker } from './start-worker.js';

const config = parseConfig(process.env);
const logger = pino(
  { level: config.logLevel, name: 'worker', serializers: { err: (error: unknown) => errorForLog(error) } },
  process.stderr,
);

try {
  const worker = await startWorker(config, logger);
  process.stdout.write(`${JSON.stringify({ msg: 'ready', pid: process.pid })}\n`);
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      logger.info({ signal }, 'stopping: what is in flight may end, nothing new is claimed');
      worker.drain();
    });
  }
  await worker.stopped;
  process.exit(0);
} catch (error) {
  logger.fatal({ err: error }, 'the worker cannot go on');
  process.exit(1);
}
