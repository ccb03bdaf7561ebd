import { describe, expect, it } from '@jest/globals';
import { RestartPolicy } from './restart-policy.js';

describe('RestartPolicy', () => {
  it('allows five restarts, each after twice the wait', () => {
    const policy = new RestartPolicy();
    expect([0, 1, 2, 3, 4, 5].map((atMs) => policy.nextDelayMs(atMs))).toEqual([250, 500, 1000, 2000, 4000, undefined]);
  });

  it('forgets restarts after 60 seconds', () => {
    const policy = new RestartPolicy();
    for (let atMs = 0; atMs < 5; atMs++) policy.nextDelayMs(atMs);
    expect(policy.nextDelayMs(59_999)).toBeUndefined();
    expect(policy.nextDelayMs(60_003)).toBe(500);
    expect(policy.recentRestarts).toBe(2);
  });
});
