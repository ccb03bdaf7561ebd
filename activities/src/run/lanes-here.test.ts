import { describe, expect, it } from '@jest/globals';
import { LanesHere, type LaneSignals } from './lanes-here.js';

function fixture() {
  const lanes = new LanesHere<string>();
  const begun: { signals: LaneSignals; end: (report: string) => void }[] = [];
  const serve = (signals: LaneSignals): Promise<string> =>
    new Promise((resolve) => begun.push({ signals, end: resolve }));
  return { lanes, begun, serve };
}

describe('lanes that one process serves', () => {
  it('lets a later attempt take over a lane that lives on, with what it has in flight', async () => {
    const { lanes, begun, serve } = fixture();
    const first = lanes.open('run/0', serve);
    await Promise.resolve();
    // Temporal missed its heartbeats and gave the lane out again.
    first.abandon();
    expect(begun[0]!.signals.isAbandoned).toBe(true);
    const second = lanes.open('run/0', serve);
    expect(begun[0]!.signals.isAbandoned).toBe(false);
    first.abandon();
    expect(begun[0]!.signals.isAbandoned).toBe(false);
    begun[0]!.end('done');
    expect(await Promise.all([first.report, second.report])).toEqual(['done', 'done']);
    expect(begun).toHaveLength(1);
    // Nothing is left behind: the next attempt begins anew.
    void lanes.open('run/0', serve);
    await Promise.resolve();
    expect(begun).toHaveLength(2);
  });

  it('serves lanes beside each other and cancels one by the attempt that holds it', async () => {
    const { lanes, begun, serve } = fixture();
    lanes.open('run/0', serve);
    lanes.open('run/1', serve);
    const taken = lanes.open('run/0', serve);
    await Promise.resolve();
    taken.cancel();
    expect(begun.map(({ signals }) => signals.cancelled.aborted)).toEqual([true, false]);
  });

  it('ends a lane for another that comes in its place, and waits for it', async () => {
    const { lanes, begun, serve } = fixture();
    const first = lanes.open('run/0', serve);
    await Promise.resolve();
    first.abandon();
    let isOver = false;
    const over = lanes.end('run/0').then(() => (isOver = true));
    await Promise.resolve();
    expect([begun[0]!.signals.cancelled.aborted, isOver]).toEqual([true, false]);
    begun[0]!.end('stopped');
    await over;
    // Of one that is served elsewhere nothing is known; one that failed is over, too.
    await lanes.end('run/0');
    const failed = lanes.open('run/0', () => Promise.reject(new Error('lost')));
    await Promise.all([lanes.end('run/0'), expect(failed.report).rejects.toThrow('lost')]);
  });

  it('abandons a lane without cancelling it', async () => {
    const { lanes, begun, serve } = fixture();
    const service = lanes.open('run/0', serve);
    await Promise.resolve();
    service.abandon();
    expect([begun[0]!.signals.isAbandoned, begun[0]!.signals.cancelled.aborted]).toEqual([true, false]);
  });

  it('gives an error to every attempt, and then forgets the lane', async () => {
    const lanes = new LanesHere<string>();
    const fail = (): Promise<string> => Promise.reject(new Error('lost'));
    const services = [lanes.open('run/0', fail), lanes.open('run/0', fail)];
    const outcomes = await Promise.allSettled(services.map((service) => service.report));
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
    const { begun, serve } = fixture();
    lanes.open('run/0', serve);
    await Promise.resolve();
    expect(begun).toHaveLength(1);
  });
});
