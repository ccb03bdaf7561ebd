import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { signCheckpoint } from './audit/checkpoint.js';
import { createNoteSigner, generateSigningKeyPem } from './audit/signed-note.js';
import { leafHash, MerkleFrontier, verifyLog, type LogRecord, type LogReport } from './verify.js';

const runs = process.env['FETTLE_LONG'] === '1' ? 300 : 40;
const origin = 'test/audit';
const signer = createNoteSigner(generateSigningKeyPem(), origin);

function record(position: number | null, text = `{"action":"run.start","n":${position}}`): LogRecord {
  const bytes = Buffer.from(text);
  return { position, bytes, leafHash: leafHash(bytes) };
}

interface Log {
  readonly records: LogRecord[];
  readonly checkpoints: string[];
}

/** A log of `size` records with a signed checkpoint at each of the sizes given. */
function makeLog(size: number, checkpointSizes: readonly number[]): Log {
  const frontier = MerkleFrontier.empty();
  const records: LogRecord[] = [];
  const checkpoints: string[] = [];
  for (let position = 0; position <= size; position += 1) {
    if (checkpointSizes.includes(position))
      checkpoints.push(signCheckpoint(signer, { size: position, root: frontier.root() }));
    if (position === size) break;
    const one = record(position);
    records.push(one);
    frontier.append(one.leafHash);
  }
  return { records, checkpoints };
}

const check = ({ records, checkpoints }: Log): Promise<LogReport> =>
  verifyLog({ records, checkpoints, publicKey: signer.publicKeyPem, origin });
const found = (report: LogReport): unknown[] =>
  report.findings.map(({ kind, position, count }) => [kind, position, count]);
const renumbered = (records: readonly LogRecord[]): LogRecord[] =>
  records.map((item, position) => ({ ...item, position }));

describe('verifyLog', () => {
  it('finds nothing wrong with an intact log, and says how far it is proven', async () => {
    const log = makeLog(10, [0, 3, 8]);
    const report = await check({ ...log, records: [...log.records, record(null), record(null, '{"x":1}')] });
    expect(report).toEqual({
      ok: true,
      size: 10,
      provenSize: 8,
      uncoveredCount: 2,
      unsealedCount: 2,
      checkpointCount: 3,
      findings: [],
      omittedFindings: 0,
    });
    expect(await check({ records: [], checkpoints: [] })).toMatchObject({ ok: true, size: 0, provenSize: 0 });
  });

  it('reads records and checkpoints from streams', async () => {
    const log = makeLog(5, [5]);
    async function* stream<Item>(items: readonly Item[]): AsyncGenerator<Item> {
      for (const item of items) yield await Promise.resolve(item);
    }
    const report = await verifyLog({
      records: stream(log.records),
      checkpoints: stream(log.checkpoints),
      publicKey: signer.verifierKey,
      origin,
    });
    expect(report).toMatchObject({ ok: true, provenSize: 5 });
  });

  it('counts a checkpoint that is given twice once', async () => {
    const log = makeLog(5, [3, 5]);
    const report = await check({ ...log, checkpoints: [...log.checkpoints, 'torn', ...log.checkpoints, 'torn'] });
    expect(report).toMatchObject({ checkpointCount: 3, provenSize: 5 });
    expect(report.findings).toMatchObject([
      { kind: 'bad-signature', message: expect.stringMatching(/^checkpoint 3: /) },
    ]);
  });

  it('names an edited record, and still proves that nothing else was touched', async () => {
    const log = makeLog(10, [4, 10]);
    log.records[6] = { ...record(6), bytes: Buffer.from('{"action":"run.cancel"}') };
    const report = await check(log);
    expect(found(report)).toEqual([['edited', 6, 1]]);
    expect(report).toMatchObject({ ok: false, provenSize: 6 });
  });

  it('finds an edit whose leaf hash was computed again, between the checkpoints around it', async () => {
    const log = makeLog(20, [5, 10, 15, 20]);
    log.records[7] = record(7, '{"forged":true}');
    const report = await check(log);
    expect(found(report)).toEqual([['checkpoint-mismatch', 5, 5]]);
    expect(report.provenSize).toBe(5);
    expect(report.findings[0]?.message).toMatch(/among records 5 to 9 \(and 2 later checkpoints/);
  });

  it('finds deletions, with gaps and renumbered', async () => {
    const log = makeLog(10, [10]);
    const without = log.records.filter((item) => item.position !== 3 && item.position !== 4 && item.position !== 7);
    expect(found(await check({ ...log, records: without }))).toEqual([
      ['deleted', 3, 2],
      ['deleted', 7, 1],
    ]);
    const middle = makeLog(10, [5, 10]);
    const closed = renumbered(middle.records.filter((item) => item.position !== 3));
    expect(found(await check({ ...middle, records: closed }))).toEqual([
      ['checkpoint-mismatch', 0, 5],
      ['truncated', 9, 1],
    ]);
  });

  it('finds truncation against a checkpoint, and an emptied log', async () => {
    const log = makeLog(10, [5, 10]);
    expect(found(await check({ ...log, records: log.records.slice(0, 7) }))).toEqual([['truncated', 7, 3]]);
    expect(found(await check({ ...log, records: [] }))).toEqual([['truncated', 0, 10]]);
  });

  it('finds insertions and records in the wrong order', async () => {
    const log = makeLog(6, [6]);
    const twice = [...log.records.slice(0, 3), record(2, '{"second":2}'), ...log.records.slice(3)];
    expect(found(await check({ ...log, records: twice }))).toEqual([['inserted', 2, 1]]);
    const [a, b, c, d, e, f] = log.records as [LogRecord, LogRecord, LogRecord, LogRecord, LogRecord, LogRecord];
    expect(found(await check({ ...log, records: [a, c, b, d, e, f] }))).toEqual([['reordered', 1, 1]]);
    expect(found(await check({ ...log, records: renumbered([a, c, b, d, e, f]) }))).toEqual([['reordered', 1, 2]]);
    expect(found(await check({ ...log, records: renumbered([b, c, a, d, e, f]) }))).toEqual([
      ['checkpoint-mismatch', 0, 6],
    ]);
    const [negative, fraction] = [record(-1), record(1.5)];
    expect(found(await check({ ...log, records: [negative, ...log.records, fraction] }))).toEqual([
      ['inserted', null, 1],
      ['inserted', null, 1],
    ]);
    expect(found(await check({ ...log, records: renumbered([a, b, record(0, '{"new":1}'), c, d, e, f]) }))).toEqual([
      ['checkpoint-mismatch', 0, 6],
    ]);
  });

  it('names two records that changed places, and still proves what follows', async () => {
    const log = makeLog(280, [200, 220, 250, 280]);
    const swap = (one: number, two: number): LogRecord[] => {
      const records = [...log.records];
      [records[one], records[two]] = [log.records[two] as LogRecord, log.records[one] as LogRecord];
      return renumbered(records);
    };
    const report = await check({ ...log, records: swap(203, 219) });
    expect(found(report)).toEqual([['reordered', 203, 17]]);
    expect(report.findings[0]?.message).toBe('records 203 and 219 have changed places');
    expect(report.provenSize).toBe(203);
    // Too far apart to be searched for: found all the same.
    expect(found(await check({ ...log, records: swap(3, 150) }))).toEqual([['checkpoint-mismatch', 0, 200]]);
    // With a checkpoint between them: this one does not match, the next one explains why.
    expect(found(await check({ ...log, records: swap(219, 221) }))).toEqual([
      ['checkpoint-mismatch', 200, 20],
      ['reordered', 219, 3],
    ]);
  });

  it('finds forged, foreign, damaged and contradicting checkpoints', async () => {
    const log = makeLog(6, [6]);
    const forger = createNoteSigner(generateSigningKeyPem(), origin);
    const forged = signCheckpoint(forger, { size: 3, root: leafHash(Buffer.from('x')) });
    const report = await check({ ...log, checkpoints: [forged, 'nonsense', ...log.checkpoints] });
    expect(found(report)).toEqual([
      ['bad-signature', null, 1],
      ['bad-signature', null, 1],
    ]);
    expect(report.provenSize).toBe(6);
    // Signed by the right key, but of a tree that never was: the log was rolled back and grown again, or the key was misused.
    const contradicting = signCheckpoint(signer, { size: 6, root: leafHash(Buffer.from('x')) });
    expect(found(await check({ ...log, checkpoints: [...log.checkpoints, contradicting] }))).toEqual([
      ['checkpoint-mismatch', 6, 0],
    ]);
    expect(
      found(
        await check({ ...log, checkpoints: [signCheckpoint(signer, { size: 0, root: leafHash(Buffer.from('x')) })] }),
      ),
    ).toEqual([['checkpoint-mismatch', 0, 0]]);
  });

  it('finds values shown beside the record that are not the ones hashed', async () => {
    const log = makeLog(3, [3]);
    const shown = (values: LogRecord['shown']): Promise<LogReport> =>
      check({
        ...log,
        records: log.records.map((item) => ({ ...item, ...(item.position === 1 && values ? { shown: values } : {}) })),
      });
    expect((await shown({ action: 'run.start', n: 1 })).ok).toBe(true);
    expect(found(await shown({ action: 'run.read' }))).toEqual([['edited', 1, 1]]);
    expect(found(await shown({ missing: null }))).toEqual([['edited', 1, 1]]);
    const noJson = { ...record(0, 'not json'), shown: { action: 'x' } };
    expect(found(await check({ records: [noJson], checkpoints: [] }))).toEqual([['edited', 0, 1]]);
  });

  it('finds an edited record that is not sealed yet', async () => {
    const edited = { ...record(null), bytes: Buffer.from('{}') };
    expect(await check({ records: [edited], checkpoints: [] })).toMatchObject({ ok: false, unsealedCount: 1, size: 0 });
  });

  it('lists so many findings and counts the others', async () => {
    const records = Array.from({ length: 50 }, (_, position) => ({ ...record(position), leafHash: Buffer.alloc(32) }));
    const report = await verifyLog({
      records,
      checkpoints: [],
      publicKey: signer.publicKeyPem,
      origin,
      maxFindings: 7,
    });
    expect(report).toMatchObject({ ok: false, omittedFindings: 43 });
    expect(report.findings).toHaveLength(7);
  });

  it(`finds any single change among the records that a checkpoint covers, and gives no false alarm (property, ${runs} times)`, async () => {
    const shape = fc
      .record({
        size: fc.integer({ min: 1, max: 80 }),
        uncovered: fc.nat(5),
        marks: fc.array(fc.nat(80), { maxLength: 5 }),
      })
      .chain((log) => fc.record({ log: fc.constant(log), at: fc.nat(log.size - 1), other: fc.nat(log.size - 1) }));
    const change = fc.constantFrom(
      'bytes',
      'bytes and hash',
      'hash',
      'delete',
      'delete and renumber',
      'swap',
      'insert',
      'truncate',
    );
    await fc.assert(
      fc.asyncProperty(shape, change, async ({ log: { size, uncovered, marks }, at, other }, kind) => {
        const log = makeLog(size + uncovered, [...marks.filter((mark) => mark < size), size]);
        const intact = await check(log);
        expect(intact).toMatchObject({ ok: true, provenSize: size, uncoveredCount: uncovered });
        const records = [...log.records];
        const one = records[at] as LogRecord;
        const two = records[other] as LogRecord;
        if (kind === 'bytes') records[at] = { ...one, bytes: Buffer.concat([one.bytes, Buffer.from(' ')]) };
        if (kind === 'bytes and hash') records[at] = record(at, '{"forged":1}');
        if (kind === 'hash') records[at] = { ...one, leafHash: leafHash(Buffer.from('other')) };
        if (kind === 'delete') records.splice(at, 1);
        if (kind === 'truncate') records.splice(at);
        if (kind === 'insert') records.splice(at, 0, record(at, '{"forged":1}'));
        if (kind === 'swap') [records[at], records[other]] = [two, one];
        const renumber = ['delete and renumber', 'insert', 'swap'].includes(kind);
        if (kind === 'delete and renumber') records.splice(at, 1);
        const report = await check({ ...log, records: renumber ? renumbered(records) : records });
        const unchanged = kind === 'swap' && at === other;
        expect(report.ok).toBe(unchanged);
        // What is called proven is indeed as it was.
        const proven = (renumber ? renumbered(records) : records).slice(0, report.provenSize);
        expect(proven.map((item) => item.bytes)).toEqual(
          log.records.slice(0, report.provenSize).map((item) => item.bytes),
        );
      }),
      { numRuns: runs },
    );
  }, 120_000);

  it('needs each record only while it is read: one buffer serves for a long log', async () => {
    const size = 20_000;
    const shared = { position: 0, bytes: Buffer.alloc(16), leafHash: Buffer.alloc(32) };
    function* records(): Generator<LogRecord> {
      for (let position = 0; position < size; position += 1) {
        shared.position = position;
        shared.bytes.writeUInt32BE(position);
        leafHash(shared.bytes).copy(shared.leafHash);
        yield shared;
      }
    }
    const frontier = MerkleFrontier.empty();
    for (const one of records()) frontier.append(one.leafHash);
    const checkpoint = signCheckpoint(signer, { size, root: frontier.root() });
    const report = await verifyLog({
      records: records(),
      checkpoints: [checkpoint],
      publicKey: signer.publicKeyPem,
      origin,
    });
    expect(report).toMatchObject({ ok: true, size, provenSize: size });
  });
});
