import { describe, expect, it } from '@jest/globals';
import { LanesHere } from './lanes-here.js';

describe('lanes that one process serves', () => {
  it('lets an earlier attempt at the same lane end first, and tells it to claim nothing more', async () => {
    const lanes = new LanesHere();
    const order: string[] = [];
    const first = lanes.open('run/0');
    await first.turn;
    const other = lanes.open('run/1');
    await other.turn;
    const second = lanes.open('run/0');
    const third = lanes.open('run/0');
    const waiting = [second, third].map(async (service, index) => {
      await service.turn;
      order.push(`attempt ${index + 2}`);
      service.close();
    });
    expect([first, second, third, other].map((service) => service.isAbandoned)).toEqual([true, true, false, false]);
    await Promise.resolve();
    order.push('attempt 1');
    first.close();
    await Promise.all(waiting);
    expect(order).toEqual(['attempt 1', 'attempt 2', 'attempt 3']);
    // Nothing is left behind: the next attempt neither waits nor abandons anybody.
    await lanes.open('run/0').turn;
  });

  it('hands a cancel on to the attempts before, which Temporal does not tell any more', () => {
    const lanes = new LanesHere();
    const [first, second] = [lanes.open('run/0'), lanes.open('run/0')];
    const other = lanes.open('run/1');
    second.cancel();
    expect([first, second, other].map((service) => service.cancelled.aborted)).toEqual([true, true, false]);
  });

  it('abandons one attempt without cancelling it', () => {
    const service = new LanesHere().open('run/0');
    service.abandon();
    expect([service.isAbandoned, service.cancelled.aborted]).toEqual([true, false]);
  });
});
