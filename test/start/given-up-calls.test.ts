import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { findFreePort } from '../../apps/cli/dist/up/ports.js';
import { Supervisor } from '../../apps/cli/dist/up/supervisor.js';
import { obtainTemporal } from '../../apps/cli/dist/up/temporal-binary.js';
import { temporalChild } from '../../apps/cli/dist/up/temporal-server.js';

const STORM_MS = 10_000;
/** What the supervisor needs to see a stuck server, and a new one to start. */
const RECOVERY_MS = 120_000;

let folder: string;
let supervisor: Supervisor;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fettle-given-up-'));
  supervisor = new Supervisor({
    logFor: () => ({ write: () => undefined }),
    report: (line) => void process.stderr.write(`${line}\n`),
    onChange: () => undefined,
  });
});

afterEach(async () => {
  await supervisor.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

/** Calls whose callers wait for less time than many of them need. */
async function giveUpCalls(connection: Connection): Promise<{ answered: number; givenUp: number }> {
  const client = new Client({ connection });
  const counts = { answered: 0, givenUp: 0 };
  const endsAtMs = Date.now() + STORM_MS;
  const storm = async (call: (index: number) => Promise<unknown>, waitMs: () => number): Promise<void> => {
    for (let index = 0; Date.now() < endsAtMs; index++) {
      try {
        await connection.withDeadline(Date.now() + waitMs(), () => call(index));
        counts.answered++;
      } catch {
        // Given up by this caller, which is what the storm is for.
        counts.givenUp++;
      }
    }
  };
  const start = (lane: number) => (index: number) =>
    client.workflow.start('none', {
      workflowId: `storm-${lane}-${index}`,
      taskQueue: 'nobody',
      args: ['x'.repeat(200)],
    });
  const list = (): Promise<unknown> =>
    connection.workflowService.listWorkflowExecutions({ namespace: 'default', pageSize: 50 });
  const describe = (): Promise<unknown> => connection.workflowService.describeNamespace({ namespace: 'default' });
  await Promise.all([
    ...Array.from({ length: 16 }, (_, lane) =>
      storm(start(lane), () => (Math.random() < 0.5 ? 1 + Math.random() * 30 : 5000)),
    ),
    ...Array.from({ length: 8 }, () => storm(list, () => Math.random() * 20)),
    ...Array.from({ length: 8 }, () => storm(describe, () => Math.random() * 8)),
  ]);
  return counts;
}

async function answers(connection: Connection, id: string): Promise<boolean> {
  const client = new Client({ connection });
  try {
    await connection.withDeadline(Date.now() + 5000, () =>
      client.workflow.start('none', { workflowId: id, taskQueue: 'nobody' }),
    );
    return true;
  } catch {
    return false;
  }
}

// In memory all calls share one connection to SQLite, so that one which is stuck stops them all.
it("Temporal's server answers after a storm of calls that their callers gave up", async () => {
  const port = await findFreePort();
  await supervisor.start(
    temporalChild({
      binary: await obtainTemporal({ env: process.env, report: () => undefined }),
      databaseFile: join(folder, 'temporal', 'temporal.db'),
      durable: true,
      port,
      namespace: 'default',
      retentionHours: 24,
    }),
  );
  const connection = await Connection.connect({ address: `127.0.0.1:${port}` });
  try {
    const { answered, givenUp } = await giveUpCalls(connection);
    expect(answered).toBeGreaterThan(0);
    expect(givenUp).toBeGreaterThan(100);
    const endsAtMs = Date.now() + RECOVERY_MS;
    let inARow = 0;
    for (let index = 0; inARow < 10 && Date.now() < endsAtMs; index++) {
      inARow = (await answers(connection, `after-${index}`)) ? inARow + 1 : 0;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(inARow).toBe(10);
  } finally {
    await connection.close();
  }
}, 300_000);
