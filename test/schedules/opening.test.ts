// A fire that waits for a real opening: a calendar's document, a worker and Temporal, with nothing injected and no clock but the machine's.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Fire } from '@fettle/contracts';
import { applyDocuments, readLedger, whySchedule } from '@fettle/operations';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { Receiver } from '../support/webhook-receiver.js';

const SECOND_MS = 1000;
/** Between instant and opening: long enough that the fire is seen waiting. */
const CLOSED_MS = 60 * SECOND_MS;

describe('a run at the opening of its calendar', () => {
  let stack: TestStack;
  let worker: WorkerProcess;
  let receiver: Receiver;

  beforeAll(async () => {
    [stack, receiver] = await Promise.all([TestStack.create(), Receiver.start()]);
    await stack.addRunbook('call', {
      steps: [{ id: 'a', uses: 'http.request', with: { url: receiver.url('/step') } }],
    });
    worker = await stack.startWorker();
  }, 120_000);
  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
    receiver?.stop();
  });

  const key = { space: 'default', name: 'nightly' };
  const why = (at: Date): Promise<string> =>
    whySchedule(stack.dataSource.manager, key, { at: at.toISOString() }).then(({ answer }) => answer);
  async function fireOnce(isIt: (fire: Fire) => boolean, timeoutMs: number): Promise<Fire> {
    const giveUpAtMs = Date.now() + timeoutMs;
    for (;;) {
      const { items } = await readLedger(stack.dataSource.manager, key, { limit: 10 });
      const found = items.find(isIt);
      if (found) return found;
      if (Date.now() > giveUpAtMs) throw new Error(JSON.stringify(items));
      await sleep(100);
    }
  }

  it('is deferred at its instant, with the reason, and starts when the window opens', async () => {
    // Far enough ahead that the documents are there before.
    const instant = new Date((Math.ceil(Date.now() / SECOND_MS) + 30) * SECOND_MS);
    const opening = new Date(instant.getTime() + CLOSED_MS);
    const closing = new Date(opening.getTime() + 3_600_000);
    const text = (at: Date): string => at.toISOString().replace('.000', '');
    const source = `
apiVersion: fettle/v1
kind: Calendar
metadata: {name: window}
spec: {timeZone: UTC, windows: [{from: "${text(opening)}", to: "${text(closing)}"}]}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: nightly}
spec: {runbook: call, at: "${text(instant)}", calendars: [window], whenClosed: defer, catchUp: 10m}
`;
    await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml' }));

    const waiting = await fireOnce(({ outcome }) => outcome === 'deferred', 85_000);
    expect(waiting).toMatchObject({
      nominalAt: instant.toISOString(),
      code: 'window',
      dueAt: opening.toISOString(),
      runId: null,
      evidence: { calendar: 'window' },
    });
    expect(await why(instant)).toMatch(/deferred/);
    expect(await why(instant)).toContain('window');
    expect(receiver.at('/step')).toEqual([]);

    const fired = await fireOnce(({ runId }) => runId !== null, 240_000);
    expect(fired).toMatchObject({ nominalAt: instant.toISOString(), waited: 'deferred', outcome: 'fired' });
    const run = await stack.ended(fired.runId!);
    expect(run).toMatchObject({ state: 'succeeded', schedule: 'nightly' });
    // Not before the opening, by whatever a busy machine needed after it.
    expect(Date.parse(run.createdAt)).toBeGreaterThanOrEqual(opening.getTime());
    expect(Date.parse(run.startedAt!)).toBeGreaterThanOrEqual(opening.getTime());
    expect(receiver.at('/step')).toHaveLength(1);
    expect(await why(instant)).toContain(run.id);
    const { items, check } = await readLedger(stack.dataSource.manager, key, { limit: 10 });
    expect(items).toHaveLength(1);
    expect(check).toMatchObject({ instants: 1, outcomes: { fired: 1 }, isSound: true });
  }, 480_000);
});
