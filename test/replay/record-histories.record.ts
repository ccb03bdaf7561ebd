import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { applyDocuments, requestEnrolment, requestPlanCheck } from '@fettle/operations';
import { OLDEST_ENGINE_VERSION } from '@fettle/runbook';
import { connectTemporal, historyToJson, type TemporalClient } from '@fettle/temporal';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';
import { readManifest, withoutMachine, writeRecording } from './recordings.js';
import { longScenarios, scenarios, Stage } from './scenarios.js';
import { workflowNames, type WorkflowName } from './workflow-digest.js';

const HOSTS = 3;
/** Executions that a run is followed through. */
const MAX_EXECUTIONS = 200;
const isReplacing = process.env['FETTLE_REPLACE'] === '1';

interface Played {
  readonly stack: TestStack;
  readonly stage: Stage;
  readonly worker: WorkerProcess;
  readonly temporal: TemporalClient;
}

let server: ScratchTemporal;
let sshd: Sshd;
let service: ScriptedService;
/** On the server that all tests share, and on one that asks for a new execution after few events. */
const played: Played[] = [];

beforeAll(async () => {
  [server, sshd, service] = await Promise.all([
    startTemporal({ dynamicConfig: ['limit.historyCount.suggestContinueAsNew=12'] }),
    startSshd(),
    ScriptedService.start(),
  ]);
  for (const settings of [{}, { temporalAddress: server.address }]) {
    const stack = await TestStack.create(settings);
    await stack.addHosts(sshd, HOSTS);
    const temporal = connectTemporal({
      address: stack.environment.TEMPORAL_ADDRESS!,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
    played.push({ stack, temporal, stage: new Stage(stack, service), worker: await stack.startWorker() });
  }
}, 120_000);

afterAll(async () => {
  for (const { stack, temporal, worker } of played) {
    await temporal.close();
    await worker.stop();
    await stack.close();
  }
  await service?.close();
  await sshd?.stop();
  await server?.close();
}, 60_000);

const recorded: Record<WorkflowName, Map<string, string>> = {
  runRunbook: new Map(),
  enrolAsset: new Map(),
  settleSchedules: new Map(),
  checkPlan: new Map(),
};

/** Takes down all executions of a workflow, oldest first, once it has closed. */
async function record(on: Played, workflow: WorkflowName, name: string, workflowId: string): Promise<void> {
  const { client } = on.temporal;
  const standing = async (): Promise<string> => (await client.workflow.getHandle(workflowId).describe()).status.name;
  await on.stage.until(`${workflowId} closes`, async () => (await standing().catch(() => 'RUNNING')) !== 'RUNNING');
  const executions: string[] = [];
  for (let runId: string | undefined; executions.length < MAX_EXECUTIONS;) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const before = history.events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
    executions.unshift(withoutMachine(historyToJson(history)));
    if (before === '') break;
    runId = before;
  }
  for (const [index, text] of executions.entries()) {
    const part = executions.length === 1 ? '' : `.${String(index + 1).padStart(2, '0')}`;
    recorded[workflow].set(`${name}${part}.json.gz`, text);
  }
}

async function recordRuns(on: Played, runIds: readonly string[]): Promise<void> {
  const runs: { runbook: string; workflow_id: string }[] = await on.stack.dataSource.query(
    `WITH RECURSIVE r AS (SELECT * FROM run WHERE id = ANY ($1) UNION ALL SELECT c.* FROM run c JOIN r ON c.parent_run_id = r.id)
     SELECT runbook, workflow_id FROM r ORDER BY runbook`,
    [runIds],
  );
  for (const run of runs) await record(on, 'runRunbook', run.runbook, run.workflow_id);
}

it('records every scenario', async () => {
  const plays = ([on, all]: readonly [Played, typeof scenarios]) =>
    Object.values(all).map(async (play) => recordRuns(on, await play(on.stage)));
  await Promise.all([
    ...plays([played[0]!, scenarios]),
    ...plays([played[1]!, longScenarios]),
    recordSmall(played[0]!),
  ]);
  const continued = [...recorded.runRunbook.keys()].filter((file) => file.startsWith('long-flow.'));
  expect(continued.length).toBeGreaterThan(1);
  for (const workflow of workflowNames) {
    const before = readManifest(workflow).recordings.length;
    const { folder } = writeRecording(workflow, recorded[workflow], {
      oldestEngineVersion: OLDEST_ENGINE_VERSION,
      isReplacing,
    });
    const now = readManifest(workflow).recordings.length;
    const size = recorded[workflow].size;
    process.stderr.write(`${workflow}: ${size} histories in ${folder}; ${before} recordings before, ${now} now\n`);
    expect(size).toBeGreaterThan(0);
  }
}, 400_000);

/** Enrolments of a host that answers and of one that does not, the wake-up of a schedule, and the check of a plan. */
async function recordSmall(on: Played): Promise<void> {
  const { stack, stage } = on;
  await stack.addHosts(sshd, 2, { prefix: 'enrol' });
  await stack.dataSource.query(
    `UPDATE endpoint SET port = 1 FROM asset WHERE asset.id = endpoint.asset_id AND asset.name = 'enrol-001'`,
  );
  for (const name of ['enrol-000', 'enrol-001']) {
    const id = await stage.act((context) =>
      requestEnrolment(context, { space: 'default', name }, { replace: true, reason: 'recorded' }),
    );
    await sleep(1);
    await record(on, 'enrolAsset', name === 'enrol-000' ? 'enrolled' : 'unreachable', `enrol-${id}`);
  }
  await stack.addRunbook('scheduled', { steps: [{ id: 'pause', wait: { duration: '1ms' } }] });
  const source = JSON.stringify({
    apiVersion: 'fettle/v1',
    kind: 'Schedule',
    metadata: { name: 'recorded' },
    spec: { runbook: 'scheduled', cron: '0 0 1 1 *' },
  });
  await stage.act((context) => applyDocuments(context, { source, file: 'schedule.yaml', dryRun: false }));
  const [schedule]: { id: string }[] = await stack.dataSource.query(`SELECT id FROM schedule WHERE name = 'recorded'`);
  const workflowId = `recorded-${schedule!.id}`;
  await on.temporal.client.workflow.start('settleSchedules', {
    workflowId,
    taskQueue: on.temporal.taskQueue,
  });
  await record(on, 'settleSchedules', 'settled', workflowId);
  const step = { id: 'probed', uses: 'ssh.run', with: { argv: ['true'], probe: ['test', '-e', '/'] } };
  await stack.addRunbook('checked', { targets: 'asset.labels.group == "host"', steps: [step] });
  const request = { space: 'default', runbook: 'checked', inputs: {}, allowEmpty: false };
  const { check } = await stage.act((context) => requestPlanCheck(context, request));
  await record(on, 'checkPlan', 'ended', `check-${check.id}`);
}
