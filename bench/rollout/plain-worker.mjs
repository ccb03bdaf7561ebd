// Worker of one activity a host: *started* before the host's work, the end after it, through the repositories that Fettle's steps of
// the run itself use. Options of the Temporal worker and of the connection pool are Fettle's.
import { fileURLToPath } from 'node:url';
import { claimRun, createDataSource, endControlStep, endRun, notifyRun, startControlStep } from '@fettle/database';
import { activityInfo } from '@temporalio/activity';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { simulateHost } from './simulated-action.mjs';

Runtime.install({ shutdownSignals: [] });
const dataSource = await createDataSource({
  url: process.env.DATABASE_URL,
  poolSize: Number(process.env.FETTLE_BENCH_POOL_SIZE),
  applicationName: 'plain-worker',
});
const inTransaction = (work) => dataSource.transaction(work);

const activities = {
  begin: (runId) =>
    inTransaction(async (transaction) => {
      await claimRun(transaction, runId, activityInfo().workflowExecution.runId);
      await notifyRun(transaction, runId);
    }),
  async host(runId, step) {
    const attempt = { runId, step, generation: 1, token: `${runId}/${step}`, epoch: 1, effect: 'read-only' };
    await startControlStep(dataSource.manager, attempt);
    const error = (await simulateHost()) ? null : { code: 'exit-code', message: 'It ended with 1.' };
    const state = error === null ? 'succeeded' : 'failed';
    await endControlStep(dataSource.manager, attempt, { state, error, output: {} });
    return error === null;
  },
  end: (runId) =>
    inTransaction(async (transaction) => {
      await endRun(transaction, runId, 'failed', null);
      await notifyRun(transaction, runId);
    }),
};

const connection = await NativeConnection.connect({ address: process.env.TEMPORAL_ADDRESS });
const worker = await Worker.create({
  connection,
  taskQueue: process.env.FETTLE_TASK_QUEUE,
  workflowsPath: fileURLToPath(new URL('./plain-workflow.mjs', import.meta.url)),
  activities,
  maxConcurrentActivityTaskExecutions: 100,
  maxConcurrentLocalActivityExecutions: 100,
  maxConcurrentWorkflowTaskExecutions: 100,
  maxCachedWorkflows: 500,
  stickyQueueScheduleToStartTimeout: '3 seconds',
});
process.on('SIGTERM', () => worker.shutdown());
const stopped = worker.run();
process.stdout.write(`${JSON.stringify({ msg: 'ready' })}\n`);
await stopped;
await dataSource.destroy();
await connection.close();
process.exit(0);
