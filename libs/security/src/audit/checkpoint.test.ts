import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { openCheckpoint, signCheckpoint, splitCheckpoints } from './checkpoint.js';
import { leafHash } from './merkle-hash.js';
import { createNoteSigner, createNoteVerifier, generateSigningKeyPem, splitNote, verifyNote } from './signed-note.js';

const origin = 'fettle.example.org/audit';
const signer = createNoteSigner(generateSigningKeyPem(), origin);
const verifier = createNoteVerifier(signer.publicKeyPem, origin);
const root = leafHash(Buffer.from('x'));
const note = signCheckpoint(signer, { size: 1, root });

describe('signed notes', () => {
  it("verify the example of Go's package golang.org/x/mod/sumdb/note", () => {
    const text =
      'If you think cryptography is the answer to your problem,\n' + "then you don't know what your problem is.\n";
    const example = `${text}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;
    const peter = createNoteVerifier(
      'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      'PeterNeumann',
    );
    const split = splitNote(example);
    expect(split?.text).toBe(text);
    expect(split && verifyNote(split, peter)).toBe(true);
    const forged = splitNote(example.replace('answer', 'Answer'));
    expect(forged && verifyNote(forged, peter)).toBe(false);
  });

  it('can be verified with nothing but Ed25519 over the text', () => {
    const [text = '', signature = ''] = note.split('\n\n');
    const bytes = Buffer.from(signature.trim().split(' ')[2] ?? '', 'base64').subarray(4);
    expect(verify(null, Buffer.from(`${text}\n`), createPublicKey(signer.publicKeyPem), bytes)).toBe(true);
  });

  it('pass over the signatures of witnesses', () => {
    const witness = createNoteSigner(generateSigningKeyPem(), 'witness.example.org');
    const text = note.slice(0, note.indexOf('\n\n') + 1);
    const cosigned = `${note}${witness.sign(text).split('\n\n')[1]}`;
    expect(openCheckpoint(cosigned, verifier).ok).toBe(true);
    expect(openCheckpoint(witness.sign(text), verifier).ok).toBe(false);
  });

  it('take the verifier key as PEM or as name+hash+base64, and no other key', () => {
    expect(openCheckpoint(note, createNoteVerifier(signer.verifierKey, origin)).ok).toBe(true);
    const other = createNoteSigner(generateSigningKeyPem(), origin);
    expect(openCheckpoint(note, createNoteVerifier(other.verifierKey, origin)).ok).toBe(false);
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const bad = [
      rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      generateSigningKeyPem(),
      signer.verifierKey.replace(/\+[0-9a-f]{8}\+/, '+00000000+'),
      signer.verifierKey.replace(origin, 'another'),
      'nonsense',
      '',
    ];
    for (const text of bad) expect(() => createNoteVerifier(text, origin)).toThrow(/not an Ed25519 public key/);
    expect(() => createNoteSigner(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), origin)).toThrow(
      /Ed25519/,
    );
    expect(() => createNoteSigner('nonsense', origin)).toThrow(/not an Ed25519 private key/);
    for (const name of ['', 'a b', 'a+b', 'a\nb'])
      expect(() => createNoteVerifier(signer.publicKeyPem, name)).toThrow(/name/);
  });
});

describe('checkpoints', () => {
  it('have the lines of C2SP tlog-checkpoint', () => {
    expect(note.split('\n').slice(0, 4)).toEqual([origin, '1', root.toString('base64'), '']);
    expect(openCheckpoint(note, verifier)).toEqual({ ok: true, checkpoint: { origin, size: 1, root } });
  });

  it('are refused when any character changes', () => {
    for (let i = 0; i < note.length; i += 1) {
      const changed = `${note.slice(0, i)}${note[i] === 'B' ? 'C' : 'B'}${note.slice(i + 1)}`;
      expect(openCheckpoint(changed, verifier).ok).toBe(false);
      expect(openCheckpoint(note.slice(0, i), verifier).ok).toBe(false);
    }
  });

  it('are refused when signed but not the checkpoint of this log', () => {
    const rootText = root.toString('base64');
    const texts = [
      `other\n1\n${rootText}\n`,
      `${origin}\n01\n${rootText}\n`,
      `${origin}\n-1\n${rootText}\n`,
      `${origin}\n1e3\n${rootText}\n`,
      `${origin}\n99999999999999999999\n${rootText}\n`,
      `${origin}\n1\n${rootText.slice(4)}\n`,
      `${origin}\n1\n`,
      `${origin}\n`,
    ];
    for (const text of texts) expect(openCheckpoint(signer.sign(text), verifier).ok).toBe(false);
    expect(openCheckpoint(signer.sign(`${origin}\n1\n${rootText}\nan extension\n`), verifier).ok).toBe(true);
    expect(() => signCheckpoint(signer, { size: 1.5, root })).toThrow(/size and root/);
    expect(() => signer.sign('two\n\nparts\n')).toThrow(/text of a signed note/);
  });

  it('come back from a file they were appended to, and a torn end comes back as a piece', () => {
    const notes = [1, 2, 3].map((size) => signCheckpoint(signer, { size, root }));
    expect(splitCheckpoints(notes.join(''))).toEqual(notes);
    expect(splitCheckpoints(notes.join('\n\n'))).toEqual(notes);
    expect(splitCheckpoints('')).toEqual([]);
    const whole = notes.join('');
    for (let cut = 1; cut < note.length; cut += 1) {
      const pieces = splitCheckpoints(whole.slice(0, -cut));
      expect(pieces.slice(0, 2)).toEqual(notes.slice(0, 2));
      // Without its last newline only, the note is whole.
      expect(pieces.slice(2).filter((piece) => openCheckpoint(piece, verifier).ok)).toHaveLength(cut === 1 ? 1 : 0);
      expect(pieces).toHaveLength(3);
      // What is appended after a torn one, with two newlines before it, is not lost.
      expect(splitCheckpoints(`${whole.slice(0, -cut)}\n\n${note}`).at(-1)).toBe(note);
    }
  });
});
