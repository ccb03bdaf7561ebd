import { describe, expect, it } from '@jest/globals';
import { RestList } from './rest-list.js';

const MINUTE_MS = 60_000;

describe('RestList', () => {
  it('lets what fails rest for twice as long each time, up to five minutes, until it succeeds', () => {
    const list = new RestList();
    expect(list.fail('a', 0)).toBe(1);
    expect(list.resting(9_999)).toEqual(['a']);
    expect(list.resting(10_000)).toEqual([]);
    expect(list.fail('a', 10_000)).toBe(2);
    expect(list.resting(29_999)).toEqual(['a']);
    expect(list.resting(30_000)).toEqual([]);
    for (let count = 3; count <= 20; count += 1) expect(list.fail('a', 0)).toBe(count);
    expect(list.resting(5 * MINUTE_MS - 1)).toEqual(['a']);
    expect(list.resting(5 * MINUTE_MS)).toEqual([]);
    list.succeed('a');
    expect(list.fail('a', 0)).toBe(1);
  });

  it('forgets what does not come up again', () => {
    const list = new RestList();
    list.fail('deleted', 0);
    list.fail('late', 5 * MINUTE_MS);
    list.resting(10 * MINUTE_MS);
    expect(list.size).toBe(2);
    list.resting(12 * MINUTE_MS);
    expect(list.size).toBe(1);
    expect(list.fail('late', 12 * MINUTE_MS)).toBe(2);
  });
});
