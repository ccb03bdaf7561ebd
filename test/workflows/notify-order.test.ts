import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endNotification, giveBackNotification, takeDueNotifications, type DueNotification } from '@fettle/database';
import { TestStack } from '../support/stack.js';

const LEASE_MS = 60_000;
const error = { code: 'http-status', message: 'it answered 500' };

describe('notifications of several states of a run', () => {
  let stack: TestStack;
  let runId: string;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('told', {
      notify: [
        { on: ['running', 'failed'], uses: 'notify.webhook', with: { url: 'https://example.test/', secret: 'hooks' } },
        { on: ['failed'], uses: 'notify.webhook', with: { url: 'https://example.test/', secret: 'hooks' } },
      ],
      steps: [{ id: 'a', wait: { duration: '1ms' } }],
    });
    // No worker: the states are set by hand, and what is due is taken by hand.
    runId = (await stack.start('told')).id;
    for (const state of ['running', 'failed'])
      await stack.dataSource.query(
        `UPDATE run SET state = $2, ended_at = CASE WHEN $2 = 'failed' THEN clock_timestamp() END WHERE id = $1`,
        [runId, state],
      );
  }, 60_000);
  afterAll(() => stack?.close());

  const take = (): Promise<readonly DueNotification[]> =>
    stack.dataSource.transaction((transaction) => takeDueNotifications(transaction, 10, LEASE_MS));
  const brief = (due: readonly DueNotification[]): string[] => due.map(({ item, state }) => `${item} ${state}`).sort();

  it('go to one receiver in order, while each receiver goes at its own pace', async () => {
    const first = await take();
    expect(brief(first)).toEqual(['0 running', '1 failed']);
    // The first is under way; what comes after it waits for that.
    expect(await take()).toEqual([]);
    const running = first.find(({ item }) => item === 0)!;
    await stack.dataSource.transaction((transaction) => giveBackNotification(transaction, running));
    const again = await take();
    expect(brief(again)).toEqual(['0 running']);
    await stack.dataSource.transaction((transaction) =>
      endNotification(transaction, again[0]!, 'notify.webhook', { kind: 'retry', error, delayMs: 3_600_000 }),
    );
    // A receiver that failed hears of the later all the same.
    expect(brief(await take())).toEqual(['0 failed']);
    expect(await take()).toEqual([]);
  });
});
