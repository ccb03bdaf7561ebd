import { describe, expect, it } from '@jest/globals';
import type { Entry, RunLogChunk } from '@fettle/contracts';
import { Output } from '../../output/output.js';
import { captureHost } from '../../session/testing/capture-host.js';
import { LogPrinter } from './log-printer.js';
import { RunProgress } from './run-progress.js';

let seq = 0;
function entry(
  kind: string,
  asset: string | null,
  data: Record<string, unknown> = {},
  step: string | null = 'one',
): Entry {
  seq += 1;
  return { seq, at: '2026-01-01T00:00:00Z', kind, asset, step, data };
}

describe('progress of a run', () => {
  it('counts targets by state and names bad ends with their reason', () => {
    const progress = new RunProgress(4);
    expect(progress.take(entry('run-started', null))).toBeNull();
    for (const asset of ['a', 'b', 'c']) progress.take(entry('step-started', asset));
    expect(progress.counts).toMatchObject({ pending: 1, running: 3 });
    progress.take(entry('step-ended', 'a', { state: 'succeeded', error: null }));
    expect(progress.take(entry('target-ended', 'a', { state: 'succeeded' }))).toBeNull();
    progress.take(entry('step-ended', 'b', { state: 'failed', error: { code: 'command-failed', message: 'exit 1' } }));
    expect(progress.take(entry('target-ended', 'b', { state: 'failed' }))).toEqual({
      asset: 'b',
      state: 'failed',
      step: 'one',
      message: 'exit 1',
    });
    // A target that never began.
    progress.take(entry('target-ended', 'd', { state: 'skipped' }));
    expect(progress.counts).toMatchObject({ pending: 0, running: 1, succeeded: 1, failed: 1, skipped: 1 });
    expect(progress.ended).toBe(3);
  });

  it('begins a resumed run with the targets that had come through before', () => {
    const progress = new RunProgress(3);
    progress.take(entry('run-queued', null, { counts: { pending: 1, succeeded: 2 } }));
    expect(progress.ended).toBe(2);
    progress.take(entry('step-started', 'a'));
    progress.take(entry('target-ended', 'a', { state: 'succeeded' }));
    expect(progress.counts).toMatchObject({ pending: 0, running: 0, succeeded: 3 });
  });

  it('forgets the error of an attempt that was retried with success', () => {
    const progress = new RunProgress(1);
    progress.take(entry('step-started', 'a'));
    progress.take(entry('step-ended', 'a', { error: { message: 'first' } }));
    progress.take(entry('step-started', 'a'));
    progress.take(entry('step-ended', 'a', { error: null }));
    expect(progress.take(entry('target-ended', 'a', { state: 'unknown' }))).toMatchObject({ message: null });
    expect(progress.counts.running).toBe(0);
  });
});

function chunk(asset: string, body: string, more: Partial<RunLogChunk> = {}): RunLogChunk {
  seq += 1;
  return { seq, at: '2026-01-01T00:00:00Z', asset, step: 's', attempt: 1, stream: 'stdout', line: 1, body, ...more };
}

describe('output of hosts', () => {
  it('keeps lines whole when chunks of several hosts alternate within them', () => {
    const host = captureHost();
    const printer = new LogPrinter(new Output(host));
    printer.print(chunk('a', 'one\ntw'));
    printer.print(chunk('b', 'hello\n'));
    printer.print(chunk('a', 'o\nthree'));
    printer.print(chunk('b', 'err\n', { stream: 'stderr' }));
    printer.print(chunk('b', '... 5 bytes are not kept ...\n', { stream: 'note' }));
    printer.end();
    expect(host.stdout.text).toBe(
      'a | one\nb | hello\na | two\nb | err\nb | ... 5 bytes are not kept ...\na | three\n',
    );
  });

  it('obeys no control sequence at a terminal and changes nothing elsewhere', () => {
    const body = 'x\u001b]0;owned\u0007\r\n';
    const terminal = captureHost({ terminal: true, env: { NO_COLOR: '1' } });
    new LogPrinter(new Output(terminal), { bare: true }).print(chunk('a', body));
    expect(terminal.stdout.text).toBe('x\\x1b]0;owned\\x07\n');
    const pipe = captureHost();
    new LogPrinter(new Output(pipe), { bare: true }).print(chunk('a', body));
    expect(pipe.stdout.text).toBe(body);
  });

  it('holds no endless line in memory', () => {
    const host = captureHost();
    const printer = new LogPrinter(new Output(host), { bare: true });
    for (let count = 0; count < 100; count += 1) printer.print(chunk('a', 'x'.repeat(16_384)));
    expect(host.stdout.text.length).toBeGreaterThan(1_500_000);
    printer.end();
    expect(host.stdout.text.replaceAll('\n', '')).toHaveLength(100 * 16_384);
  });
});
