import { describe, expect, it } from '@jest/globals';
import { auditRecordBytes, maxAuditRecordBytes, parseAuditRecord, type AuditRecord } from './record.js';
import type { JsonValue } from './canonical.js';

const record: AuditRecord = {
  id: '019367aa-0000-7000-8000-000000000001',
  at: '2026-11-22T02:30:00.000Z',
  space: 'default',
  principal: { id: '019367aa-0000-7000-8000-000000000002', name: 'ada', kind: 'person' },
  action: 'run.start',
  object: { kind: 'run', name: 'make-file', id: '019367aa-0000-7000-8000-000000000003' },
  outcome: 'succeeded',
  requestId: 'req-1',
  detail: { inputs: { path: '/tmp/é' }, targets: 24 },
};

describe('audit records', () => {
  it('have these bytes for ever: a change here breaks every log there is', () => {
    expect(auditRecordBytes(record).toString('utf8')).toBe(
      '{"action":"run.start","at":"2026-11-22T02:30:00.000Z","detail":{"inputs":{"path":"/tmp/é"},"targets":24},' +
        '"id":"019367aa-0000-7000-8000-000000000001",' +
        '"object":{"id":"019367aa-0000-7000-8000-000000000003","kind":"run","name":"make-file"},"outcome":"succeeded",' +
        '"principal":{"id":"019367aa-0000-7000-8000-000000000002","kind":"person","name":"ada"},' +
        '"requestId":"req-1","space":"default","v":1}',
    );
  });

  it('keep a member called __proto__ as the data it is', () => {
    const detail = JSON.parse('{"__proto__":{"admin":true}}') as AuditRecord['detail'];
    const bytes = auditRecordBytes({ ...record, detail });
    expect(bytes.toString('utf8')).toContain('"detail":{"__proto__":{"admin":true}}');
    expect(parseAuditRecord(bytes).id).toBe(record.id);
  });

  it('come back from their bytes', () => {
    expect(parseAuditRecord(auditRecordBytes(record))).toEqual(record);
    const system = { ...record, principal: null, requestId: null, detail: {} };
    expect(parseAuditRecord(auditRecordBytes(system))).toEqual(system);
  });

  it('are refused where they would be ambiguous, wrong or huge', () => {
    const bad: [Partial<AuditRecord>, RegExp][] = [
      [{ id: 'x' }, /audit record, id: must be a UUID/],
      [{ at: '2026-11-22T02:30:00+01:00' }, /audit record, at/],
      [{ at: '2026-11-22T02:30:00Z' }, /audit record, at/],
      [{ detail: { count: 2 ** 53 } }, /audit record, detail/],
      [{ detail: { text: '\ud800' } }, /lone surrogate/],
      [{ detail: { text: 'x'.repeat(maxAuditRecordBytes) } }, /more than 65536/],
    ];
    for (const [change, message] of bad) expect(() => auditRecordBytes({ ...record, ...change })).toThrow(message);
    let deep: JsonValue = 1;
    for (let i = 0; i < 10_000; i += 1) deep = [deep];
    expect(() => auditRecordBytes({ ...record, detail: { deep } })).toThrow(/nesting is deeper/);
    const extra = { ...record, note: 'x' };
    expect(() => auditRecordBytes(extra)).toThrow(/audit record, as a whole/);
  });

  it('are not read from bytes that are not theirs', () => {
    const text = auditRecordBytes(record).toString('utf8');
    const bad: [string, RegExp][] = [
      [` ${text}`, /not canonical/],
      [text.replace('"v":1', '"v":2'), /expected 1/],
      [text.replace('"default"', '7'), /cannot be read/],
      [text.slice(1), /not JSON/],
      ['null', /expected object/],
      [`\ufeff${text}`, /not JSON/],
      [`${'['.repeat(10_000)}${']'.repeat(10_000)}`, /too deeply nested/],
    ];
    for (const [changed, message] of bad) expect(() => parseAuditRecord(Buffer.from(changed))).toThrow(message);
    expect(() => parseAuditRecord(Buffer.from([0x22, 0xff, 0x22]))).toThrow(/not JSON in UTF-8/);
  });
});
