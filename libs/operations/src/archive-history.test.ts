import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { digestOfHistories, packHistories, type ExecutionHistory, type HistoryLimits } from './archive-history.js';

const limits: HistoryLimits = { jsonBytes: 10_000, archivedBytes: 2_000, runBytes: 3_000 };

/** An execution whose JSON comes in these parts. */
function execution(workflowRunId: string, ...parts: string[]): ExecutionHistory {
  async function* chunks(): AsyncGenerator<{ text: string; events: number }> {
    for (const text of parts) yield await Promise.resolve({ text, events: 1 });
  }
  return { workflowRunId, chunks: chunks() };
}

async function* newestFirst(...executions: ExecutionHistory[]): AsyncGenerator<ExecutionHistory> {
  for (const one of executions) yield await Promise.resolve(one);
}

/** Text that gzip cannot make smaller than about half. */
const noise = (bytes: number): string => randomBytes(bytes / 2).toString('hex');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('packed histories', () => {
  it('come oldest first, hold what was read, and have the digest of all parts together', async () => {
    const packed = await packHistories(newestFirst(execution('b', 'new'), execution('a', 'o', 'l', 'd')), limits);
    expect(packed).toMatchObject([
      { workflowRunId: 'a', state: 'archived', reason: null, events: 3, bytes: 3, sha256: sha256('old') },
      { workflowRunId: 'b', state: 'archived', reason: null, events: 1, bytes: 3, sha256: sha256('new') },
    ]);
    expect(packed.map(({ data }) => gunzipSync(data!).toString())).toEqual(['old', 'new']);
    expect(digestOfHistories(packed)).toBe(sha256(`a ${sha256('old')}\nb ${sha256('new')}\n`));
  });

  it('are told whole or not at all: size, digest and reason of what is too large stay', async () => {
    const long = 'x'.repeat(6_000);
    const dense = noise(6_000);
    const packed = await packHistories(
      newestFirst(execution('dense', dense), execution('long', long, long), {
        workflowRunId: 'gone',
        chunks: null,
        reason: 'nobody has it',
      }),
      limits,
    );
    expect(packed).toMatchObject([
      { workflowRunId: 'gone', state: 'missing', reason: 'nobody has it', bytes: null, sha256: null, data: null },
      { state: 'too-large', bytes: 12_000, events: 2, sha256: sha256(long + long), data: null },
      { state: 'too-large', bytes: 6_000, sha256: sha256(dense), data: null },
    ]);
    expect(packed[1]!.reason).toBe('12000 bytes, more than the 10000 that are kept');
    expect(packed[2]!.reason).toMatch(/^\d+ bytes when compressed, more than the 2000 that are kept$/);
  });

  it('keep the newest executions of a run up to its limit, and say of the others why they are not kept', async () => {
    const texts = [noise(3_000), noise(3_000), 'small'];
    const packed = await packHistories(
      newestFirst(execution('3', texts[0]!), execution('2', texts[1]!), execution('1', texts[2]!)),
      limits,
    );
    expect(packed.map(({ workflowRunId, state }) => [workflowRunId, state])).toEqual([
      ['1', 'archived'],
      ['2', 'too-large'],
      ['3', 'archived'],
    ]);
    expect(packed[1]!.reason).toMatch(/and \d+ of the executions after it, more than the 3000 that are kept of a run$/);
    expect(packed[1]!.sha256).toBe(sha256(texts[1]!));
  });

  it('fail with what they are read from', async () => {
    async function* broken(): AsyncGenerator<{ text: string; events: number }> {
      yield await Promise.resolve({ text: '{', events: 0 });
      throw new Error('dropped while it was read');
    }
    const packing = packHistories(newestFirst({ workflowRunId: 'a', chunks: broken() }), limits);
    await expect(packing).rejects.toThrow('dropped while it was read');
  });
});
