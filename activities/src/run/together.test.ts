import { describe, expect, it } from '@jest/globals';
import { Together } from './together.js';

describe('Together', () => {
  it('does as one what comes while it is at work, and gives each its own result', async () => {
    const done: string[][] = [];
    const together = new Together<string, string>(async (items) => {
      done.push([...items]);
      await new Promise((resolve) => setImmediate(resolve));
      return items.map((item) => item.toUpperCase());
    });
    const all = ['a', 'b', 'c'].map((item) => together.take(item));
    expect(await Promise.all(all)).toEqual(['A', 'B', 'C']);
    expect(await together.take('d')).toBe('D');
    expect(done).toEqual([['a'], ['b', 'c'], ['d']]);
  });

  it('tries what failed together once more each by itself, so that one alone bears its own error', async () => {
    const done: [string, boolean][] = [];
    const together = new Together<string, string>(async (items, isRepeated) => {
      done.push([items.join('+'), isRepeated]);
      await Promise.resolve();
      if (items.includes('bad')) throw new Error('bad');
      return items;
    });
    const all = ['first', 'good', 'bad', 'well'].map((item) => together.take(item));
    expect(await Promise.allSettled(all)).toMatchObject([
      { value: 'first' },
      { value: 'good' },
      { reason: { message: 'bad' } },
      { value: 'well' },
    ]);
    expect(done).toEqual([
      ['first', false],
      ['good+bad+well', false],
      ['good', true],
      ['bad', true],
      ['well', true],
    ]);
    await expect(together.take('bad')).rejects.toThrow('bad');
    expect(await together.take('later')).toBe('later');
  });
});
