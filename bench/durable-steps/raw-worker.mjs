// Worker of the raw SDK: its activities do and write nothing. Options of the Temporal worker are Fettle's.
import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';

Runtime.install({ shutdownSignals: [] });
const connection = await NativeConnection.connect({ address: process.env.TEMPORAL_ADDRESS });
const worker = await Worker.create({
  connection,
  taskQueue: process.env.FETTLE_TASK_QUEUE,
  workflowsPath: fileURLToPath(new URL('./raw-workflow.mjs', import.meta.url)),
  activities: { step: async () => null },
  maxConcurrentActivityTaskExecutions: 100,
  maxConcurrentWorkflowTaskExecutions: 100,
  maxCachedWorkflows: 500,
  stickyQueueScheduleToStartTimeout: '3 seconds',
});
process.on('SIGTERM', () => worker.shutdown());
const stopped = worker.run();
process.stdout.write(`${JSON.stringify({ msg: 'ready' })}\n`);
await stopped;
await connection.close();
process.exit(0);
