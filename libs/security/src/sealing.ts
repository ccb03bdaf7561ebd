import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { FettleError } from '@fettle/contracts';
import { lengthPrefixed } from './length-prefixed.js';
import { parseSealingKeys } from './sealing-keys.js';

/** The only format so far; the first byte of each sealed value. */
export const SEALED_FORMAT_VERSION = 1;
/** Secrets are passwords, keys and certificates; anything larger is a mistake. */
export const maxSealedPlaintextBytes = 1024 * 1024;

const nonceBytes = 12;
const tagBytes = 16;

/** What a sealed value belongs to. It is authenticated, not stored: a value copied to another row does not open there. */
export interface SealingContext {
  readonly space: string;
  readonly name: string;
  /** Version of the credential, from 1. An older value put back under a newer version does not open. */
  readonly version: number;
}

/** The parts of a sealed value. */
export interface SealedParts {
  readonly formatVersion: number;
  readonly keyId: string;
  readonly nonce: Buffer;
  readonly tag: Buffer;
  readonly ciphertext: Buffer;
}

/**
 * Keys that seal credentials: one is current (it seals), all of them open. The keys live outside the database.
 *
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. Section 8.3 limits one key to 2^32 values with random nonces, far
 * beyond what credentials need; sealing again with a new key starts afresh. A sealed value is one buffer:
 *
 * ```
 * 1 byte   format version (1)
 * 1 byte   length of the key id, n
 * n bytes  key id, ASCII
 * 12 bytes nonce
 * 16 bytes authentication tag
 * rest     ciphertext, as long as the plaintext
 * ```
 *
 * The additional authenticated data are the first 2 + n bytes, then space, name and version, each prefixed by its length.
 */
export class SealingKeyring {
  readonly currentKeyId: string;
  readonly #keys: ReadonlyMap<string, KeyObject>;

  private constructor(currentKeyId: string, keys: ReadonlyMap<string, KeyObject>) {
    this.currentKeyId = currentKeyId;
    this.#keys = keys;
  }

  /**
   * Reads the text of a key file: JSON `{"current": "k2", "keys": {"k1": "<base64>", "k2": "<base64>"}}`, or lines
   * `keyId:base64`, of which the last one is current, so that rotation is to append a line. Blank lines and lines that start
   * with `#` are passed over. Keys are 32 bytes. Throws `invalid-key-file`, never quoting key material.
   */
  static fromText(text: string): SealingKeyring {
    const { current, keys } = parseSealingKeys(text);
    return new SealingKeyring(current, new Map([...keys].map(([id, bytes]) => [id, createSecretKey(bytes)])));
  }

  /** Seals with the current key. Throws `limit-exceeded` above `maxSealedPlaintextBytes`. */
  seal(plaintext: Uint8Array, context: SealingContext): Buffer {
    if (plaintext.byteLength > maxSealedPlaintextBytes) {
      throw new FettleError({
        code: 'limit-exceeded',
        message: `credential ${context.space}/${context.name} is larger than ${maxSealedPlaintextBytes} bytes`,
        remedy: 'Store the secret itself, not an archive or an image of a disk.',
        detail: { sizeBytes: plaintext.byteLength, maxBytes: maxSealedPlaintextBytes },
      });
    }
    const header = encodeHeader(this.currentKeyId);
    const nonce = randomBytes(nonceBytes);
    const key = this.#key(this.currentKeyId, context);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    cipher.setAAD(additionalData(header, context));
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return Buffer.concat([header, nonce, cipher.getAuthTag(), ciphertext]);
  }

  /** The plaintext. Throws `unseal-failed` if the value was changed, cut, moved to another row or sealed by a key not held. */
  open(sealed: Uint8Array, context: SealingContext): Buffer {
    const { keyId, nonce, tag, ciphertext } = parseSealed(sealed, context);
    const key = this.#key(keyId, context);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(additionalData(encodeHeader(keyId), context));
    decipher.setAuthTag(tag);
    try {
      return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
    } catch (cause) {
      throw unsealFailed(
        context,
        'authentication-failed',
        'it was changed, or belongs to another credential or version',
        cause,
      );
    }
  }

  /** Opens and seals again with the current key, for the same or a following version. */
  reseal(sealed: Uint8Array, from: SealingContext, to: SealingContext = from): Buffer {
    const plaintext = this.open(sealed, from);
    try {
      return this.seal(plaintext, to);
    } finally {
      plaintext.fill(0);
    }
  }

  #key(keyId: string, context: SealingContext): KeyObject {
    const key = this.#keys.get(keyId);
    if (!key) {
      throw unsealFailed(context, 'unknown-key', `the key "${keyId}" that sealed it is not in the key file`);
    }
    return key;
  }
}

/** Splits a sealed value without opening it. Throws `unseal-failed` where it is cut or of an unknown format. */
export function parseSealed(sealed: Uint8Array, context: SealingContext | null = null): SealedParts {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const formatVersion = bytes[0];
  if (formatVersion !== SEALED_FORMAT_VERSION) {
    throw unsealFailed(context, 'unknown-format', `its format version is ${formatVersion ?? 'missing'}`);
  }
  const nonceStart = 2 + (bytes[1] ?? 0);
  const ciphertextStart = nonceStart + nonceBytes + tagBytes;
  if (nonceStart === 2 || bytes.length < ciphertextStart) {
    throw unsealFailed(context, 'cut', `it has ${bytes.length} bytes, fewer than a sealed value needs`);
  }
  return {
    formatVersion,
    // latin1 maps bytes one to one: a changed id stays different instead of folding to U+FFFD or a masked byte.
    keyId: bytes.toString('latin1', 2, nonceStart),
    nonce: bytes.subarray(nonceStart, nonceStart + nonceBytes),
    tag: bytes.subarray(nonceStart + nonceBytes, ciphertextStart),
    ciphertext: bytes.subarray(ciphertextStart),
  };
}

function encodeHeader(keyId: string): Buffer {
  const id = Buffer.from(keyId, 'latin1');
  return Buffer.concat([Buffer.from([SEALED_FORMAT_VERSION, id.length]), id]);
}

function additionalData(header: Buffer, context: SealingContext): Buffer {
  return Buffer.concat([header, lengthPrefixed([context.space, context.name, String(context.version)])]);
}

function unsealFailed(context: SealingContext | null, reason: string, why: string, cause?: unknown): FettleError {
  const what = context ? `credential ${context.space}/${context.name} version ${context.version}` : 'a sealed value';
  return new FettleError({
    code: 'unseal-failed',
    message: `${what} cannot be opened: ${why}`,
    remedy:
      reason === 'unknown-key'
        ? 'Put the missing key back into the file that FETTLE_SEALING_KEY_FILE names, or set the credential again.'
        : 'Set the credential again with `fettle credential set`, and find out who changed the stored value.',
    detail: { reason, ...(context ? { space: context.space, name: context.name, version: context.version } : {}) },
    cause,
  });
}
