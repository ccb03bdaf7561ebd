import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const secretBytes = 32;
const base32Alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/**
 * Matches an API token anywhere in a text. The fixed prefix and lengths let secret scanners and log filters find leaked tokens
 * without guessing; use with the `g` flag by `new RegExp(apiTokenPattern, 'g')`.
 */
export const apiTokenPattern = 'fettle_[a-z2-7]{26}_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])';
const wholeToken = new RegExp(`^fettle_([a-z2-7]{26})_([A-Za-z0-9_-]{43})$`);

export interface CreatedToken {
  /** UUIDv7: the key of the token's row. */
  readonly id: string;
  /** Shown once to its owner, never stored. */
  readonly token: string;
  /** 32 bytes: what is stored. */
  readonly hash: Buffer;
}

/** Creates an API token `fettle_<id: 26 characters base32>_<secret: 43 characters base64url, 256 bits>`. */
export function createToken(nowMs: number = Date.now()): CreatedToken {
  const idBytes = uuidV7Bytes(nowMs);
  const token = `fettle_${base32(idBytes)}_${randomBytes(secretBytes).toString('base64url')}`;
  return { id: uuidText(idBytes), token, hash: hashToken(token) };
}

/** The id inside a token, to find its row by; null for anything that is not exactly a token. The id proves nothing. */
export function parseToken(text: string): { readonly id: string } | null {
  // The length is checked first so that a header of megabytes costs nothing.
  const match = text.length > 100 ? null : wholeToken.exec(text);
  const idBytes = match?.[1] === undefined ? null : base32Decode(match[1]);
  return idBytes ? { id: uuidText(idBytes) } : null;
}

/**
 * SHA-256 of the whole token text. A slow password hash (scrypt, Argon2) would add nothing: it makes guessing a secret that a
 * person chose expensive, but this secret is 256 random bits, which nobody can enumerate; and the check runs on each request.
 * Hashing the text and not the decoded secret also binds the id and leaves one spelling of each token.
 */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

/** Compares in constant time whether `token` is the one whose hash is stored. */
export function tokenMatches(token: string, storedHash: Uint8Array): boolean {
  const hash = hashToken(token);
  return storedHash.byteLength === hash.byteLength && timingSafeEqual(hash, storedHash);
}

/** RFC 9562 section 5.7: 48 bits of milliseconds, version 7, variant 10, the rest random. */
function uuidV7Bytes(nowMs: number): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** RFC 4648 section 6 in lower case, without padding: 26 characters for 16 bytes. */
function base32(bytes: Buffer): string {
  let bits = bytes.reduce((all, byte) => all + byte.toString(2).padStart(8, '0'), '');
  bits = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0');
  return (bits.match(/.{5}/g) ?? []).map((five) => base32Alphabet[Number.parseInt(five, 2)]).join('');
}

/** Null where the two padding bits at the end are not zero: each id has one spelling. */
function base32Decode(text: string): Buffer | null {
  const bits = [...text].map((letter) => base32Alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  if (!/^[01]*00$/.test(bits) || bits.length !== 130) return null;
  return Buffer.from((bits.slice(0, 128).match(/.{8}/g) ?? []).map((eight) => Number.parseInt(eight, 2)));
}
