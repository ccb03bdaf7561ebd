import { describe, expect, it } from '@jest/globals';
import { baselineRules, narrowedRules, patchBaselineSpecSchema } from './patch-baseline.js';

const DAY_MS = 86_400_000;

describe('patch baselines', () => {
  it('want security updates at once, and a scan says something for a week', () => {
    const spec = patchBaselineSpecSchema.parse({});
    expect(spec).toEqual({ updates: 'security', approved: [], rejected: [], scanMaxAge: '7d' });
    expect(baselineRules(spec)).toEqual({
      updates: 'security',
      versions: [],
      approved: [],
      rejected: [],
      delayMs: 0,
    });
  });

  it('that select assets have a priority, and only those', () => {
    const problem = (spec: object) => patchBaselineSpecSchema.safeParse(spec).error?.issues[0]?.path;
    expect(problem({ assets: 'true' })).toEqual(['assets']);
    expect(problem({ priority: 1 })).toEqual(['priority']);
    expect(problem({ assets: 'true', priority: 0, approved: ['-x y'] })).toEqual(['approved', 0]);
    expect(problem({ assets: 'true', priority: 0, severities: ['urgent'] })).toEqual(['severities', 0]);
  });

  it('are narrowed by what a step says, never widened', () => {
    const rules = baselineRules(patchBaselineSpecSchema.parse({ approved: ['a*'], rejected: ['b'], delay: '2d' }));
    const step = { approved: ['*x'], rejected: ['c'], delayMs: DAY_MS };
    expect(narrowedRules(rules, step)).toMatchObject({
      approved: ['a*'],
      alsoApproved: ['*x'],
      rejected: ['b', 'c'],
      delayMs: 2 * DAY_MS,
    });
    expect(narrowedRules(rules, { ...step, delayMs: 5 * DAY_MS }).delayMs).toBe(5 * DAY_MS);
  });
});
