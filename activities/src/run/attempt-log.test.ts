import { describe, expect, it } from '@jest/globals';
import { RedactionSet } from '@fettle/security';
import fc from 'fast-check';
import { AttemptLog, DEFAULT_LOG_BYTES, MAX_CHUNK_CHARACTERS } from './attempt-log.js';

const HALF_BYTES = DEFAULT_LOG_BYTES / 2;

const identity = { assetId: '00000000-0000-0000-0000-000000000001', step: 'one', generation: 1 };

describe('AttemptLog', () => {
  it('gives back any bytes as the decoder reads them, however they are split, in chunks of bounded size', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40_000 }), fc.array(fc.nat(40_000), { maxLength: 8 }), (bytes, cuts) => {
        const log = new AttemptLog(identity);
        const points = [...new Set([0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort(
          (a, b) => a - b,
        );
        const chunks = [];
        for (let index = 1; index < points.length; index += 1) {
          log.write('stdout', Buffer.from(bytes.slice(points[index - 1], points[index])));
          if (index % 2 === 0) chunks.push(...log.take());
        }
        chunks.push(...log.close());
        const expected = new TextDecoder().decode(bytes).replaceAll('\0', '\uFFFD');
        expect(chunks.map((chunk) => chunk.body).join('')).toBe(expected);
        let newlines = 0;
        for (const chunk of chunks) {
          expect(chunk.line).toBe(newlines + 1);
          expect(chunk.body.length).toBeLessThanOrEqual(MAX_CHUNK_CHARACTERS);
          newlines += chunk.body.split('\n').length - 1;
        }
      }),
      { numRuns: 200 },
    );
  });

  it('keeps head and tail of endless output, says what it left out, and goes on counting lines', () => {
    const log = new AttemptLog(identity);
    const line = `${'x'.repeat(99)}\n`;
    const block = Buffer.from(line.repeat(1000));
    let kept = '';
    for (let count = 0; count < 100; count += 1) {
      log.write('stdout', block);
      kept += log
        .take()
        .map((chunk) => chunk.body)
        .join('');
    }
    expect(kept.length).toBe(HALF_BYTES);
    log.write('stdout', Buffer.from('the last line\n'));
    const rest = log.close();
    const note = rest.find((chunk) => chunk.stream === 'note');
    const tail = rest.filter((chunk) => chunk.stream === 'stdout');
    const tailBytes = tail.reduce((sum, chunk) => sum + chunk.body.length, 0);
    const total = 100 * block.length + 'the last line\n'.length;
    expect(tailBytes).toBeLessThanOrEqual(HALF_BYTES);
    expect(note?.body).toContain(`${total - HALF_BYTES - tailBytes} bytes`);
    const last = tail.at(-1)!;
    expect(last.body.endsWith('the last line\n')).toBe(true);
    expect(last.line + last.body.split('\n').length - 2).toBe(100_001);
  });

  it('masks a secret wherever the stream is cut, and where head, gap and tail meet', () => {
    const secret = 'hunter2-hunter2';
    const redactions = new RedactionSet([{ name: 'pw', value: secret }]);
    // So that the end of what is kept first, and the beginning of what is kept last, fall into a secret.
    const text = (secret + '.').repeat(Math.ceil((HALF_BYTES * 6) / (secret.length + 1)));
    for (const size of [7, 4093, 65_536]) {
      const log = new AttemptLog(identity, () => redactions);
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += size) log.write('stderr', bytes.subarray(at, at + size));
      const body = log.close().map((chunk) => (chunk.stream === 'note' ? '' : chunk.body));
      expect(body.join('')).toMatch(/^[*.]+$/);
    }
  });

  it('masks what is opened while output comes, and says what it cannot mask', () => {
    let redactions = new RedactionSet([]);
    const log = new AttemptLog(identity, () => redactions);
    log.write('stdout', Buffer.from('first hunter2\n'));
    redactions = new RedactionSet([
      { name: 'pw', value: 'hunter2' },
      { name: 'pin', value: '123' },
    ]);
    log.write('stdout', Buffer.from('then hunt'));
    expect(log.take().map((chunk) => chunk.body)).toEqual(['first hunter2\n', 'then ']);
    log.write('stdout', Buffer.from('er2 and 123\n'));
    const chunks = log.close();
    expect(chunks.map((chunk) => [chunk.stream, chunk.body])).toEqual([
      ['note', 'The credential "pin" is not masked in this output: its value is too short.\n'],
      ['stdout', '*** and 123\n'],
    ]);
  });

  it('keeps to the limit that the runbook declares, and names it', () => {
    const log = new AttemptLog(identity, undefined, undefined, 8192);
    log.write('stdout', Buffer.from('a'.repeat(4096)));
    log.write('stdout', Buffer.from('b'.repeat(1000)));
    log.write('stdout', Buffer.from('c'.repeat(4096)));
    const chunks = log.close();
    const text = chunks.filter(({ stream }) => stream === 'stdout').map(({ body }) => body);
    expect(text.join('')).toBe(`${'a'.repeat(4096)}${'c'.repeat(4096)}`);
    expect(chunks.find(({ stream }) => stream === 'note')?.body).toBe(
      '... 1000 bytes of output are not kept (limit 8 KiB an attempt) ...\n',
    );
  });
});
