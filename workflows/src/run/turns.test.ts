import { describe, expect, it } from '@jest/globals';
import { Turns } from './turns.js';

describe('Turns', () => {
  it('does one at a time, in the order in which they came, also where one fails and where more come meanwhile', async () => {
    const turns = new Turns();
    const told: string[] = [];
    let underWay = 0;
    const work = async (name: string, fails = false): Promise<string> => {
      underWay += 1;
      told.push(`${name} begins, ${underWay} under way`);
      for (let tick = 0; tick < 5; tick += 1) await Promise.resolve();
      underWay -= 1;
      if (fails) throw new Error(name);
      // Taken while others wait: it is the last of all.
      if (name === 'a') later = turns.take(() => work('d'));
      return name;
    };
    let later: Promise<string> = Promise.reject(new Error('never taken'));
    later.catch(() => undefined);
    const all = [turns.take(() => work('a')), turns.take(() => work('b', true)), turns.take(() => work('c'))];
    expect(await Promise.allSettled(all)).toMatchObject([{ value: 'a' }, { reason: { message: 'b' } }, { value: 'c' }]);
    expect(await later).toBe('d');
    expect(await turns.take(() => work('e'))).toBe('e');
    expect(told).toEqual(['a', 'b', 'c', 'd', 'e'].map((name) => `${name} begins, 1 under way`));
  });
});
