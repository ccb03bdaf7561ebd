import { hostname } from 'node:os';
import {
  assetActivities,
  checkActivities,
  runActivities,
  scheduleActivities,
  type WorkerServices,
} from '@fettle/activities';
import { WORKER_DRAIN_MS, type ProcessConfig } from '@fettle/config';
import { listenerName, NotificationListener } from '@fettle/database';
import { SshPool } from '@fettle/drivers';
import { AUDIT_ORIGIN } from '@fettle/operations';
import { createNoteSigner, loadKeyFile, parseEffectTokenKey, SealingKeyring } from '@fettle/security';
import { connectTemporal, shareConnection } from '@fettle/temporal';
import { NestFactory } from '@nestjs/core';
import { NativeConnection, Runtime, Worker, type WorkerDeploymentOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import { DataSource } from 'typeorm';
import { archiveHistories } from './background/archive-histories.js';
import { followSchedules } from './background/follow-schedules.js';
import { watchDeadlines } from './background/watch-deadlines.js';
import { forgetPatches } from './background/forget-patches.js';
import { forgetScheduleNews } from './background/forget-schedule-news.js';
import { freeCapacity } from './background/free-capacity.js';
import { compareSchedules } from './background/compare-schedules.js';
import { keepPartitions } from './background/keep-partitions.js';
import { relayOutbox } from './background/relay-outbox.js';
import { startLoop, type BackgroundLoop } from './background/run-loop.js';
import { sealAudit } from './background/seal-audit.js';
import { sendNotifications, sendScheduleNotifications } from './background/send-notifications.js';
import { settleSchedules } from './background/settle-schedules.js';
import { sweepRuns } from './background/sweep-runs.js';
import {
  deploymentVersion,
  readEngineVersion,
  servedRuns,
  workerBuild,
  type DeploymentVersion,
} from './engine-version.js';
import { workflowBundle } from './replay-histories.js';
import { warnOfUnserved } from './warn-of-unserved.js';
import { WorkerModule } from './worker.module.js';

/** Lanes and control steps that one worker serves at once. */
const MAX_ACTIVITIES = 100;
const MAX_LOCAL_ACTIVITIES = 100;
const MAX_WORKFLOW_TASKS = 100;
/** Each open run of them takes some 0.2 MB; what is evicted is replayed when it goes on. */
const MAX_CACHED_WORKFLOWS = 2000;
const TEMPORAL_PATIENCE_MS = 60_000;

export interface RunningWorker {
  /**
   * Claims nothing more and stops once what is in flight has ended, however long that takes: the process sets the limit, see
   * `WORKER_STOP_MS`.
   */
  readonly drain: () => void;
  /** Settles when everything has stopped; rejects when the worker failed. */
  readonly stopped: Promise<void>;
}

/** Composes one worker process: Nest context -> activities -> Temporal worker, and the background tasks beside it. */
export async function startWorker(config: ProcessConfig, logger: Logger): Promise<RunningWorker> {
  Runtime.install({ shutdownSignals: [] });
  const context = await NestFactory.createApplicationContext(WorkerModule.forConfig(config), { logger: ['error'] });
  const dataSource = context.get(DataSource);
  const ssh = new SshPool();
  const state = { draining: false };
  const engineVersion = await readEngineVersion();
  const version = deploymentVersion(config, engineVersion);
  const services: WorkerServices = {
    dataSource,
    ssh,
    keyring: SealingKeyring.fromText(await loadKeyFile(config.sealingKeyFile)),
    tokenKey: parseEffectTokenKey(await loadKeyFile(config.tokenKeyFile)),
    workerName: `${hostname()}:${process.pid}`,
    engineVersion,
    workerBuild: workerBuild(version),
    logger,
  };
  const connection = await connectPatiently(config.temporalAddress, logger);
  const worker = await Worker.create({
    connection,
    namespace: config.temporalNamespace,
    taskQueue: config.temporalTaskQueue,
    workflowBundle: { codePath: workflowBundle },
    ...(version === null ? {} : { workerDeploymentOptions: versioned(version) }),
    activities: {
      ...runActivities(services, () => state.draining),
      ...scheduleActivities(services),
      ...assetActivities(services),
      ...checkActivities(services),
    },
    maxConcurrentActivityTaskExecutions: MAX_ACTIVITIES,
    maxConcurrentLocalActivityExecutions: MAX_LOCAL_ACTIVITIES,
    maxConcurrentWorkflowTaskExecutions: MAX_WORKFLOW_TASKS,
    maxCachedWorkflows: MAX_CACHED_WORKFLOWS,
    shutdownGraceTime: WORKER_DRAIN_MS,
    // After a crash the next task of a run waits this long for the dead worker's own queue.
    stickyQueueScheduleToStartTimeout: '3 seconds',
    maxHeartbeatThrottleInterval: '1 second',
    defaultHeartbeatThrottleInterval: '1 second',
  });
  const background = await startBackground(config, { services, connection, version, logger });
  await warnOfUnserved(dataSource, logger);
  const stopped = worker.run().finally(async () => {
    await background.stop();
    await ssh.close();
    await connection.close();
    await context.close();
  });
  return {
    drain: () => {
      state.draining = true;
      worker.shutdown();
    },
    stopped,
  };
}

/** A run stays with the build that it began on, however many come after it. */
function versioned(version: DeploymentVersion): WorkerDeploymentOptions {
  return { version, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' };
}

async function connectPatiently(address: string, logger: Logger): Promise<NativeConnection> {
  const giveUpAtMs = Date.now() + TEMPORAL_PATIENCE_MS;
  for (;;) {
    try {
      return await NativeConnection.connect({ address });
    } catch (error) {
      if (Date.now() > giveUpAtMs) throw error;
      logger.warn({ err: error, address }, 'Temporal does not answer yet');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

/** Relay, sweeper, sealer and reconcilers, each under its advisory lock. */
async function startBackground(
  config: ProcessConfig,
  {
    services,
    connection,
    version,
    logger,
  }: {
    readonly services: WorkerServices;
    readonly connection: NativeConnection;
    readonly version: DeploymentVersion | null;
    readonly logger: Logger;
  },
): Promise<{ stop: () => Promise<void> }> {
  const { dataSource } = services;
  const senders = [sendNotifications(services, logger), sendScheduleNotifications(services, logger)];
  const stopSenders = () => Promise.all(senders.map((sender) => sender.stop()));
  const temporal = connectTemporal({
    address: config.temporalAddress,
    namespace: config.temporalNamespace,
    taskQueue: config.temporalTaskQueue,
  });
  const signer = createNoteSigner(await loadKeyFile(config.auditKeyFile), AUDIT_ORIGIN);
  const sending = shareConnection(connection, {
    namespace: config.temporalNamespace,
    taskQueue: config.temporalTaskQueue,
    // Of several builds Temporal says which one a run begins on.
    startsEagerly: version === null,
  });
  const relay = startLoop(dataSource, relayOutbox(sending, logger), logger);
  const loops: BackgroundLoop[] = [
    relay,
    startLoop(dataSource, sweepRuns(dataSource, temporal, logger), logger),
    startLoop(dataSource, sealAudit(signer, config.dataDir), logger),
    startLoop(dataSource, settleSchedules(dataSource, logger), logger),
    startLoop(dataSource, followSchedules(dataSource, logger), logger),
    startLoop(dataSource, watchDeadlines(dataSource, logger), logger),
    startLoop(dataSource, compareSchedules(dataSource, temporal, logger), logger),
    startLoop(dataSource, keepPartitions(), logger),
    ...senders.map(({ task }) => startLoop(dataSource, task, logger)),
    startLoop(dataSource, forgetScheduleNews(), logger),
    startLoop(dataSource, forgetPatches(), logger),
    startLoop(dataSource, freeCapacity(dataSource, logger), logger),
    startLoop(dataSource, archiveHistories(dataSource, temporal, logger), logger),
  ];
  const listener = new NotificationListener({
    url: config.databaseUrl,
    channel: 'fettle_outbox',
    applicationName: listenerName(servedRuns(version)),
    onNotification: () => relay.wake(),
    onGap: () => relay.wake(),
    onError: (error) => logger.warn({ err: error }, 'the outbox listener lost its connection'),
  });
  await listener.start();
  return {
    async stop() {
      await stopSenders();
      await listener.close();
      await Promise.all(loops.map((loop) => loop.stop()));
      // What its last round took.
      await stopSenders();
      await temporal.close();
    },
  };
}
