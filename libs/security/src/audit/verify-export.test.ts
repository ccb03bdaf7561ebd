import { describe, expect, it } from '@jest/globals';
import type { AuditExportLine } from '@fettle/contracts';
import { signCheckpoint } from './checkpoint.js';
import { MerkleFrontier } from './merkle-frontier.js';
import { leafHash } from './merkle-hash.js';
import { auditRecordBytes } from './record.js';
import { createNoteSigner, generateSigningKeyPem } from './signed-note.js';
import { verifyExport, type ExportReport } from './verify-export.js';

const origin = 'test/audit';
const signer = createNoteSigner(generateSigningKeyPem(), origin);
const at = '2026-11-22T02:30:00.000Z';

function recordLine(n: number, position: number | null): Extract<AuditExportLine, { type: 'record' }> {
  const id = `019367aa-0000-7000-8000-00000000000${n}`;
  const object = { kind: 'run', name: 'make-file' };
  const shown = { id, at, space: 'default', action: 'run.start' };
  const bytes = auditRecordBytes({
    ...shown,
    principal: null,
    object,
    outcome: 'succeeded',
    requestId: null,
    detail: { n },
  });
  return {
    type: 'record',
    position,
    id,
    canonical: bytes.toString('base64'),
    leafHash: leafHash(bytes).toString('hex'),
    shown,
  };
}

const sealed = [0, 1, 2, 3].map((n) => recordLine(n, n));
const frontier = MerkleFrontier.empty();
for (const line of sealed) frontier.append(Buffer.from(line.leafHash, 'hex'));
const note = signCheckpoint(signer, { size: 4, root: frontier.root() });
const end: AuditExportLine = { type: 'end', sealed: 4, unsealed: 1 };
const whole: AuditExportLine[] = [...sealed, recordLine(4, null), { type: 'checkpoint', note }, end];
const text = (lines: readonly AuditExportLine[]): string[] => lines.map((line) => JSON.stringify(line));

function verify(lines: readonly string[], checkpoints: readonly string[] = []): Promise<ExportReport> {
  return verifyExport({ readLines: () => lines, checkpoints, publicKey: signer.publicKeyPem, origin });
}

describe('verifyExport', () => {
  it('verifies records, the values shown beside them and the checkpoints of an export', async () => {
    expect(await verify([...text(whole), ''])).toMatchObject({
      ok: true,
      size: 4,
      provenSize: 4,
      unsealedCount: 1,
      checkpointCount: 1,
      outsideCheckpointCount: 0,
    });
    const shownOtherwise = whole.map((line) =>
      line === sealed[2] ? { ...sealed[2], shown: { ...sealed[2].shown, action: 'run.read' } } : line,
    );
    expect((await verify(text(shownOtherwise))).findings).toMatchObject([{ kind: 'edited', position: 2 }]);
  });

  it('finds by a checkpoint from outside that records and checkpoints were cut from the database', async () => {
    const cut = [...sealed.slice(0, 2), { type: 'end', sealed: 2, unsealed: 0 } as const];
    expect(await verify(text(cut))).toMatchObject({
      ok: true,
      provenSize: 0,
      uncoveredCount: 2,
      outsideCheckpointCount: 0,
    });
    expect((await verify(text(cut), [note])).findings).toMatchObject([{ kind: 'truncated', position: 2, count: 2 }]);
  });

  it('tells a damaged file from a damaged log', async () => {
    const lines = text(whole);
    const bad: [string[], RegExp][] = [
      [lines.slice(0, -1), /no line of type "end" after 6 lines/],
      [[], /no line of type "end"/],
      [[...lines, lines[0] ?? ''], /line 8 comes after its end/],
      [lines.slice(1), /3 sealed and 1 unsealed/],
      [['{"type":"record"', ...lines], /^line 1 of the exported audit log/],
      [[lines[0] ?? '', '{"type":"other"}'], /^line 2 of/],
      [['[]'], /^line 1 of/],
    ];
    for (const [damaged, message] of bad) await expect(verify(damaged)).rejects.toThrow(message);
  });
});
