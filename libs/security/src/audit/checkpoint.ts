import { FettleError } from '@fettle/contracts';
import { hashBytes } from './merkle-hash.js';
import { splitNote, verifyNote, type NoteSigner, type NoteVerifier } from './signed-note.js';

/** The state of the log at one moment: its first `size` records have this Merkle root. */
export interface Checkpoint {
  /** Names the log; also the name of the key that signs for it. */
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

/**
 * Signs a checkpoint (C2SP tlog-checkpoint): origin, size in decimal and root in base64, a line each, then an empty line and
 * the signature line. Keep it where who can change the database cannot: truncation shows only against it.
 */
export function signCheckpoint(signer: NoteSigner, tree: { readonly size: number; readonly root: Uint8Array }): string {
  if (!Number.isSafeInteger(tree.size) || tree.size < 0 || tree.root.byteLength !== hashBytes) {
    throw new FettleError({ code: 'invalid-request', message: `not the size and root of a tree: ${tree.size}` });
  }
  return signer.sign(`${signer.keyName}\n${tree.size}\n${Buffer.from(tree.root).toString('base64')}\n`);
}

export type OpenedCheckpoint =
  { readonly ok: true; readonly checkpoint: Checkpoint } | { readonly ok: false; readonly reason: string };

/** Reads and verifies one checkpoint; says why where it is not to be believed. */
export function openCheckpoint(note: string, verifier: NoteVerifier): OpenedCheckpoint {
  const split = splitNote(note);
  if (!split) return { ok: false, reason: 'it is not a signed note' };
  if (!verifyNote(split, verifier)) return { ok: false, reason: `it has no valid signature of "${verifier.keyName}"` };
  // Lines after the third are extensions, which the format lets a reader pass over.
  const [origin, sizeText, rootText] = split.text.split('\n');
  if (origin !== verifier.keyName)
    return { ok: false, reason: `it is of another log, "${origin?.slice(0, 200) ?? ''}"` };
  const size = Number(sizeText);
  if (!/^(0|[1-9][0-9]*)$/.test(sizeText ?? '') || !Number.isSafeInteger(size))
    return { ok: false, reason: 'its size is not a number' };
  const root = Buffer.from(rootText ?? '', 'base64');
  const isHash = root.length === hashBytes && root.toString('base64') === rootText;
  if (!isHash) return { ok: false, reason: 'its root is not a hash' };
  return { ok: true, checkpoint: { origin, size, root } };
}

/**
 * Splits a file to which checkpoints were appended one after the other, with or without empty lines between them. Whatever
 * does not end as a checkpoint (a crash while appending, damage) comes back as a piece too, so that verification reports it.
 * Append two newlines before each checkpoint: then a torn one costs none but itself.
 */
export function splitCheckpoints(text: string): string[] {
  const notes: string[] = [];
  let lines: string[] = [];
  let signed = false;
  const end = (): void => {
    while (lines.at(-1) === '') lines.pop();
    if (lines.length > 0) notes.push(`${lines.join('\n')}\n`);
    lines = [];
    signed = false;
  };
  for (const line of text.split('\n')) {
    // Without the blank after it: a signature line may be torn right there.
    const isSignature = line.startsWith('\u2014');
    // A note's text has no empty line, so after one comes a signature; anything else begins the next note after a torn one.
    const torn = lines.at(-1) === '' && line !== '' && !isSignature;
    if ((signed && !isSignature) || torn) end();
    if (line === '' && lines.length === 0) continue;
    lines.push(line);
    signed ||= isSignature && lines.includes('');
  }
  end();
  return notes;
}
