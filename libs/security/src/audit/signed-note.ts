import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { FettleError } from '@fettle/contracts';

/** Longest note read; ours have about 300 bytes, and a witness adds about 100. */
export const maxNoteBytes = 16 * 1024;

const ed25519Algorithm = 0x01;
const signatureBytes = 64;
const publicKeyBytes = 32;
/** DER of SubjectPublicKeyInfo up to the 32 bytes of an Ed25519 key: RFC 8410 section 4. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** A text and its signature lines, not verified. */
export interface SplitNote {
  /** What is signed, ending with a newline. */
  readonly text: string;
  readonly signatures: readonly { readonly keyName: string; readonly keyHash: Buffer; readonly signature: Buffer }[];
}

/** Signs notes (C2SP signed-note) with an Ed25519 key. */
export interface NoteSigner {
  readonly keyName: string;
  /** SPKI in PEM, for `verifyNote` and OpenSSL. */
  readonly publicKeyPem: string;
  /** `<name>+<key hash>+<base64>`: the form that other tools for signed notes take. */
  readonly verifierKey: string;
  /** `text` must end with a newline and hold no empty line. */
  readonly sign: (text: string) => string;
}

/** A new Ed25519 private key (RFC 8032) as PKCS #8 in PEM. */
export function generateSigningKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Throws `invalid-key-file` where `privateKeyPem` is no Ed25519 key, `invalid-request` where `keyName` is no key name. */
export function createNoteSigner(privateKeyPem: string, keyName: string): NoteSigner {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(privateKeyPem);
  } catch {
    // Without the cause: OpenSSL's message is of no use to a person, and nothing of a key may travel in an error.
    throw notEd25519('private');
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') throw notEd25519('private');
  assertKeyName(keyName);
  const publicKey = createPublicKey(privateKey);
  const keyHash = noteKeyHash(keyName, publicKey);
  return {
    keyName,
    ...publishedKey({ keyName, keyHash, publicKey }),
    sign: (text) => {
      if (!isNoteText(text))
        throw new FettleError({ code: 'invalid-request', message: 'not the text of a signed note' });
      const signature = sign(null, Buffer.from(text, 'utf8'), privateKey);
      return `${text}\n\u2014 ${keyName} ${Buffer.concat([keyHash, signature]).toString('base64')}\n`;
    },
  };
}

/** Who a note must be signed by. */
export interface NoteVerifier {
  readonly keyName: string;
  readonly keyHash: Buffer;
  readonly publicKey: KeyObject;
}

/**
 * Takes a public key as SPKI in PEM, with its name, or as a verifier key `<name>+<hash>+<base64>` (the name is in it and must
 * be `keyName`). Throws `invalid-key-file`.
 */
export function createNoteVerifier(publicKeyText: string, keyName: string): NoteVerifier {
  assertKeyName(keyName);
  const publicKey = publicKeyText.includes('-----BEGIN')
    ? publicKeyFromPem(publicKeyText)
    : publicKeyFromVerifierKey(publicKeyText, keyName);
  return { keyName, keyHash: noteKeyHash(keyName, publicKey), publicKey };
}

/** A public key in both of the forms in which it is published. */
export function publishedKey({
  keyName,
  keyHash,
  publicKey,
}: NoteVerifier): Pick<NoteSigner, 'publicKeyPem' | 'verifierKey'> {
  const encodedKey = Buffer.concat([Buffer.from([ed25519Algorithm]), rawPublicKey(publicKey)]).toString('base64');
  return {
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    verifierKey: `${keyName}+${keyHash.toString('hex')}+${encodedKey}`,
  };
}

/** Null where `note` is not a signed note (C2SP signed-note: text, empty line, signature lines). */
export function splitNote(note: string): SplitNote | null {
  if (note.length > maxNoteBytes || Buffer.byteLength(note) > maxNoteBytes) return null;
  const boundary = note.lastIndexOf('\n\n');
  if (boundary < 0 || !note.endsWith('\n')) return null;
  const text = note.slice(0, boundary + 1);
  if (!isNoteText(text)) return null;
  const signatures = [];
  for (const line of note.slice(boundary + 2, -1).split('\n')) {
    const match = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line);
    if (!match?.[1] || !match[2]) return null;
    const bytes = Buffer.from(match[2], 'base64');
    if (bytes.length < 5 || bytes.toString('base64') !== match[2]) return null;
    signatures.push({ keyName: match[1], keyHash: bytes.subarray(0, 4), signature: bytes.subarray(4) });
  }
  return { text, signatures };
}

/** Whether the verifier's key signed the note. Signatures by other keys (witnesses) are passed over, as the format asks. */
export function verifyNote(note: SplitNote, verifier: NoteVerifier): boolean {
  const own = note.signatures.filter(
    (item) => item.keyName === verifier.keyName && item.keyHash.equals(verifier.keyHash),
  );
  const signature = own.length === 1 ? own[0]?.signature : undefined;
  if (signature?.length !== signatureBytes) return false;
  return verify(null, Buffer.from(note.text, 'utf8'), verifier.publicKey, signature);
}

/** First four bytes of SHA-256(name || 0x0A || 0x01 || public key). */
function noteKeyHash(keyName: string, publicKey: KeyObject): Buffer {
  const prefix = Buffer.concat([Buffer.from(keyName, 'utf8'), Buffer.from([0x0a, ed25519Algorithm])]);
  return createHash('sha256').update(prefix).update(rawPublicKey(publicKey)).digest().subarray(0, 4);
}

function rawPublicKey(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-publicKeyBytes);
}

function publicKeyFromPem(pem: string): KeyObject {
  // createPublicKey would take a private key too; somebody who hands one to an auditor should hear of it.
  if (pem.includes('PRIVATE KEY')) throw notEd25519('public');
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Falls through: one message for all that is not such a key.
  }
  throw notEd25519('public');
}

function publicKeyFromVerifierKey(text: string, keyName: string): KeyObject {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text.trim());
  const bytes = Buffer.from(match?.[3] ?? '', 'base64');
  if (match?.[1] !== keyName || bytes.length !== 1 + publicKeyBytes || bytes[0] !== ed25519Algorithm)
    throw notEd25519('public');
  const key = createPublicKey({ key: Buffer.concat([spkiPrefix, bytes.subarray(1)]), format: 'der', type: 'spki' });
  if (noteKeyHash(keyName, key).toString('hex') !== match[2]) throw notEd25519('public');
  return key;
}

function assertKeyName(keyName: string): void {
  if (keyName === '' || keyName.length > 200 || /[\s+\p{C}]/u.test(keyName)) {
    throw new FettleError({
      code: 'invalid-request',
      message: `"${keyName.slice(0, 200)}" is not the name of a signing key`,
      remedy:
        'A name has 1 to 200 characters without white space, "+" and control characters, e.g. "fettle.example.org/audit".',
    });
  }
}

/** One or more lines, none empty, no control characters but the newlines. */
function isNoteText(text: string): boolean {
  return /^(?:[^\p{Cc}\p{Surrogate}]+\n)+$/u.test(text);
}

function notEd25519(kind: 'private' | 'public'): FettleError {
  return new FettleError({
    code: 'invalid-key-file',
    message: `the key that ${kind === 'private' ? 'signs' : 'verifies'} audit checkpoints is not an Ed25519 ${kind} key`,
    remedy:
      kind === 'private'
        ? 'Restore the file that FETTLE_AUDIT_KEY_FILE names; a new key cannot vouch for what the old one signed.'
        : 'Give the public key (PEM, or name+hash+base64) that the installation published, never its private key.',
  });
}
