import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FettleError, type ImportAssetRow, type Page, type RunDetail, type RunSummary } from '@fettle/contracts';
import {
  DEMO_RUNBOOK_NAME,
  demoExpectedCounts,
  demoExpectedRunState,
  demoRunbook,
  demoSchedules,
} from '../demo/documents.js';
import type { DemoInventoryRow } from '../demo/estate.js';
import { writeFileAtomically } from './data-dir.js';
import { endedAsExpected, progressBar, runTable, targetTable } from './demo-report.js';
import type { Output } from './output.js';
import { delay } from './process-identity.js';
import { readyMadeSources } from './ready-made.js';

export interface DemoOptions {
  readonly url: string;
  readonly token: string;
  /** Absolute path. */
  readonly dataDir: string;
  readonly output: Output;
  /** Whether stderr is a terminal, where a progress bar can be redrawn. */
  readonly isTerminal: boolean;
  readonly signal: AbortSignal;
}

/** What `fettle up` does once everything is ready. Tests that have no real API put another one in its place. */
export interface DemoJob {
  readonly load: typeof loadDemo;
  readonly run: typeof runDemo;
  readonly showEarlierRuns: typeof showEarlierRuns;
}

export const DEMO_JOB: DemoJob = { load: loadDemo, run: runDemo, showEarlierRuns };

const REQUEST_TIMEOUT_MS = 30_000;
const POLL_INTERVAL_MS = 300;
const RUN_TIMEOUT_MS = 5 * 60_000;
const PLAIN_PROGRESS_INTERVAL_MS = 2000;
const MAX_SHOWN_RUNS = 5;
const MAX_SHOWN_TARGETS = 100;

/**
 * Brings the demo estate into a fresh installation: credential, assets, runbook. On later starts it only follows an
 * estate that had to move to other ports; what people changed since stays as it is.
 */
export async function loadDemo(options: DemoOptions): Promise<void> {
  // Loaded late: the estate carries its hosts' shell along, which other commands need not wait for.
  const { DEMO_CREDENTIAL_NAME, demoInventory } = await import('../demo/estate.js');
  const inventory = await demoInventory(options.dataDir);
  const rows = inventory.rows.map(toImportRow);
  const body = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const digest = createHash('sha256').update(body).digest('hex');
  const marker = join(options.dataDir, 'demo', 'loaded');
  const isLoaded = await exists(options, `documents/Runbook/${DEMO_RUNBOOK_NAME}`);
  if (isLoaded && readText(marker) === digest) return;
  const credential = { kind: 'ssh-private-key', value: inventory.clientPrivateKey };
  await request(options, 'PUT', `credentials/${DEMO_CREDENTIAL_NAME}`, JSON.stringify(credential));
  await request(options, 'POST', 'assets/import?format=csv', body, 'application/x-ndjson');
  if (!isLoaded) {
    // The first runbook last: where it is there, all the others are.
    const ready = readyMadeSources();
    const schedules = ready.length === 0 ? [] : [{ source: demoSchedules, file: 'demo-schedules.yaml' }];
    const first = { source: demoRunbook, file: `${DEMO_RUNBOOK_NAME}.yaml` };
    for (const source of [...ready, ...schedules, first])
      await request(options, 'POST', 'documents/apply', JSON.stringify(source));
  }
  writeFileAtomically(marker, digest);
}

/** Runs the demo's first runbook and prints its table. @returns whether it ended as the demo says it should. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const start = JSON.stringify({ runbook: DEMO_RUNBOOK_NAME, reason: 'first look at the demo estate' });
  const accepted = (await request(options, 'POST', 'runs', start, undefined, randomUUID())) as RunSummary;
  const run = await followRun(options, accepted.id);
  const { stdout } = options.output;
  stdout.write(`\n${targetTable(run.targets.slice(0, MAX_SHOWN_TARGETS))}\n`);
  const isExpected = endedAsExpected(run, demoExpectedRunState, demoExpectedCounts);
  stdout.write(
    isExpected
      ? `\nRun ${run.id} ended as the demo says it should: three hosts are flawed on purpose.\n`
      : `\nRun ${run.id} ended ${run.state}, not as the demo says it should (${demoExpectedRunState}, ${JSON.stringify(demoExpectedCounts)}).\n`,
  );
  return isExpected;
}

/** Runs that the installation remembers, newest first, as a table. @returns how many are shown. */
export async function showEarlierRuns(options: DemoOptions): Promise<number> {
  const page = (await request(options, 'GET', `runs?limit=${MAX_SHOWN_RUNS}`)) as Page<RunSummary>;
  if (page.items.length > 0) options.output.stdout.write(`\nEarlier runs\n${runTable(page.items)}\n`);
  return page.items.length;
}

async function followRun(options: DemoOptions, id: string): Promise<RunDetail> {
  const { stderr } = options.output;
  const deadline = Date.now() + RUN_TIMEOUT_MS;
  let shown = '';
  let shownAtMs = 0;
  for (;;) {
    const run = (await request(options, 'GET', `runs/${id}?limit=${MAX_SHOWN_TARGETS}`)) as RunDetail;
    const hasEnded = run.endedAt !== null;
    const bar = progressBar(run.counts, run.targetCount);
    const isDue = options.isTerminal || hasEnded || Date.now() - shownAtMs >= PLAIN_PROGRESS_INTERVAL_MS;
    if (bar !== shown && isDue) {
      stderr.write(options.isTerminal ? `\r\u001b[K${bar}` : `${bar}\n`);
      [shown, shownAtMs] = [bar, Date.now()];
    }
    if (hasEnded) {
      if (options.isTerminal) stderr.write('\n');
      return run;
    }
    if (Date.now() > deadline) {
      throw new FettleError({
        code: 'demo-timeout',
        message: `the demo's run ${id} has not ended after ${RUN_TIMEOUT_MS / 60_000} minutes`,
        remedy: 'See the logs of worker and temporal in the data directory.',
      });
    }
    options.signal.throwIfAborted();
    await delay(POLL_INTERVAL_MS);
  }
}

function toImportRow(row: DemoInventoryRow, index: number): ImportAssetRow {
  return {
    line: index + 1,
    name: row.name,
    kind: row.kind,
    site: row.site,
    owner: row.owner,
    criticality: row.criticality,
    address: row.address,
    port: row.port,
    user: row.user,
    credential: row.credentialName,
    hostKey: row.hostKey,
    labels: row.labels,
  };
}

async function exists(options: DemoOptions, path: string): Promise<boolean> {
  try {
    await request(options, 'GET', path);
    return true;
  } catch (error) {
    if (error instanceof FettleError && error.code === 'not-found') return false;
    throw error;
  }
}

async function request(
  options: DemoOptions,
  method: string,
  path: string,
  body?: string,
  contentType = 'application/json',
  idempotencyKey?: string,
): Promise<unknown> {
  const response = await fetch(`${options.url}/api/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${options.token}`,
      ...(body === undefined ? {} : { 'content-type': contentType }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    ...(body === undefined ? {} : { body }),
    signal: AbortSignal.any([options.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
  });
  const text = await response.text();
  if (response.ok) return text === '' ? undefined : (JSON.parse(text) as unknown);
  const problem = parseProblem(text);
  throw new FettleError({
    code: problem.code ?? `http-${response.status}`,
    message: `${method} ${path} was answered with ${response.status}: ${problem.detail ?? text.slice(0, 300)}`,
    remedy: problem.remedy,
  });
}

function parseProblem(text: string): { code?: string; detail?: string; remedy?: string } {
  try {
    return JSON.parse(text) as { code?: string; detail?: string; remedy?: string };
  } catch {
    return {};
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
