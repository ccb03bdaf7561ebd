import { createHmac, randomBytes } from 'node:crypto';
import { FettleError } from '@fettle/contracts';
import { lengthPrefixed } from './length-prefixed.js';

const keyBytes = 32;
/** Separates these tokens from anything else the key might ever authenticate, and names the encoding. */
const domain = 'fettle/effect-token/v1';

/** What one effect is: the same values always give the same token. */
export interface EffectIdentity {
  readonly runId: string;
  /** With call and iteration keys, e.g. `deploy/restart[3]`. */
  readonly stepPath: string;
  readonly assetId: string;
  readonly phase: 'do' | 'undo';
  /** From 1; rises only once the previous one is known not to have happened, or a person says so. */
  readonly generation: number;
}

/**
 * Names one effect on one target: 32 hexadecimal digits, the first 128 bits of HMAC-SHA-256 (RFC 2104) over the length-prefixed
 * fields. The host sees it (a detached command runs under it), so it must not be guessable from ids; whoever holds the key can
 * always compute it again after a crash. Truncation to half the output is what RFC 2104 section 5 allows.
 */
export function effectToken(key: Uint8Array, effect: EffectIdentity): string {
  if (key.byteLength < keyBytes) {
    throw new FettleError({
      code: 'invalid-key-file',
      message: `the key for effect tokens has ${key.byteLength} bytes, fewer than ${keyBytes}`,
      remedy: 'Restore the file that FETTLE_TOKEN_KEY_FILE names.',
    });
  }
  if (!Number.isSafeInteger(effect.generation) || effect.generation < 0) {
    throw new FettleError({ code: 'invalid-request', message: `not a generation: ${effect.generation}` });
  }
  const fields = [domain, effect.runId, effect.stepPath, effect.assetId, effect.phase, String(effect.generation)];
  return createHmac('sha256', key).update(lengthPrefixed(fields)).digest('hex').slice(0, 32);
}

/** Text of a new key file for effect tokens: 256 bits in base64 and a newline. */
export function generateEffectTokenKeyText(): string {
  return `${randomBytes(keyBytes).toString('base64')}\n`;
}

/** Reads what `generateEffectTokenKeyText` wrote. Throws `invalid-key-file`. */
export function parseEffectTokenKey(text: string): Buffer {
  const encoded = text.trim();
  const key = Buffer.from(encoded, 'base64');
  if (key.toString('base64') !== encoded || key.length !== keyBytes) {
    throw new FettleError({
      code: 'invalid-key-file',
      message: `the key file for effect tokens must hold ${keyBytes} bytes in base64`,
      remedy:
        'Restore the file that FETTLE_TOKEN_KEY_FILE names; with another key, effects in flight cannot be found again.',
    });
  }
  return key;
}
