// Worker of the plain workflow: its activities write the rows that Fettle's write, through the same repositories, and do nothing
// between *started* and the end. Options of the Temporal worker and of the connection pool are Fettle's.
import { fileURLToPath } from 'node:url';
import { claimRun, createDataSource, endControlStep, endRun, notifyRun, startControlStep } from '@fettle/database';
import { activityInfo } from '@temporalio/activity';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';

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
  async step(runId, step) {
    const attempt = { runId, step, generation: 1, token: `${runId}/${step}`, epoch: 1, effect: 'read-only' };
    await startControlStep(dataSource.manager, attempt);
    await endControlStep(dataSource.manager, attempt, { state: 'succeeded', error: null, output: {} });
  },
  end: (runId) =>
    inTransaction(async (transaction) => {
      await endRun(transaction, runId, 'succeeded', null);
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
