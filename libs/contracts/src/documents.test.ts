import { describe, expect, it } from '@jest/globals';
import { runbookSpecSchema } from './documents.js';
import { durationMs, durationSchema } from './duration.js';
import { retrySchema } from './steps.js';

const messages = (result: { error?: { issues: readonly { message: string }[] } | undefined }): string[] =>
  (result.error?.issues ?? []).map((issue) => issue.message);

describe('durations', () => {
  it.each([
    [90, 90_000],
    [0.001, 1],
    ['500ms', 500],
    ['365d', 31_536_000_000],
    ['00060s', 60_000],
  ])('takes %p', (given, expectedMs) => {
    expect(durationMs(durationSchema.parse(given))).toBe(expectedMs);
  });

  it.each([
    ['0s', 'must be at least 1 millisecond'],
    [0.0001, 'must be at least 1 millisecond'],
    ['366d', 'must be at most 365 days'],
    ['9'.repeat(400) + 'd', 'must be at most 365 days'],
    [1e300, 'must be at most 365 days'],
    ['soon', 'must be a number of seconds or text such as "30s", "5m", "2h", "1d"'],
  ])('refuses %p', (given, message) => {
    expect(messages(durationSchema.safeParse(given))).toContain(message);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, null, {}, '-1s', '1.5h', ''])('refuses %p', (given) => {
    expect(durationSchema.safeParse(given).success).toBe(false);
  });

  it('bounds the waits of a retry to a day, and the attempts', () => {
    expect(retrySchema.parse({ maxAttempts: 20, backoff: '24h', maxBackoff: 86_400 })).toMatchObject({
      backoff: '24h',
    });
    const refused = retrySchema.safeParse({ maxAttempts: 21, backoff: '25h', maxBackoff: '2d' });
    expect(refused.error?.issues.map((issue) => [issue.path.join('.'), issue.message])).toEqual([
      ['maxAttempts', expect.any(String)],
      ['backoff', 'must be at most 24 hours'],
      ['maxBackoff', 'must be at most 24 hours'],
    ]);
    const step = { id: 'a', uses: 'ssh.run', with: {}, timeout: '0s' };
    expect(messages(runbookSpecSchema.safeParse({ steps: [step] }))).toEqual(['must be at least 1 millisecond']);
  });
});
