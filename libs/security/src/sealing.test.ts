import { createDecipheriv, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import fc from 'fast-check';
import { generateSealingKeyLine } from './sealing-keys.js';
import { maxSealedPlaintextBytes, parseSealed, SealingKeyring } from './sealing.js';

const context = { space: 'default', name: 'root-password', version: 3 };
const secret = Buffer.from('correct horse battery staple');

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FettleError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('SealingKeyring', () => {
  const oldLine = generateSealingKeyLine();
  const newLine = generateSealingKeyLine();
  const ring = SealingKeyring.fromText(oldLine);

  it('opens what it sealed and never seals twice alike', () => {
    const sealed = ring.seal(secret, context);
    expect(ring.open(sealed, context)).toEqual(secret);
    expect(ring.seal(secret, context).equals(sealed)).toBe(false);
    expect(ring.open(ring.seal(new Uint8Array(0), context), context)).toHaveLength(0);
  });

  it('writes the documented format: plain AES-256-GCM opens it from its parts', () => {
    const sealed = ring.seal(secret, context);
    const [id = '', key = ''] = oldLine.trim().split(':');
    const n = id.length;
    expect(sealed[0]).toBe(1);
    expect(sealed[1]).toBe(n);
    expect(sealed.toString('latin1', 2, 2 + n)).toBe(id);
    const u32 = (value: number): Buffer => Buffer.from([0, 0, 0, value]);
    const aad = Buffer.concat([
      sealed.subarray(0, 2 + n),
      ...[u32(7), Buffer.from('default'), u32(13), Buffer.from('root-password'), u32(1), Buffer.from('3')],
    ]);
    const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'base64'), sealed.subarray(2 + n, 14 + n));
    decipher.setAAD(aad).setAuthTag(sealed.subarray(14 + n, 30 + n));
    expect(Buffer.concat([decipher.update(sealed.subarray(30 + n)), decipher.final()])).toEqual(secret);
  });

  it('refuses a changed bit anywhere, and any cut', () => {
    const sealed = ring.seal(secret, context);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(codeOf(() => ring.open(changed, context))).toBe('unseal-failed');
    }
    for (let length = 0; length < sealed.length; length += 1) {
      expect(codeOf(() => ring.open(sealed.subarray(0, length), context))).toBe('unseal-failed');
    }
  });

  it('refuses another space, name or version, also where their concatenation is the same', () => {
    const sealed = ring.seal(secret, { space: 'ab', name: 'c', version: 11 });
    for (const other of [
      { space: 'a', name: 'bc', version: 11 },
      { space: 'ab', name: 'c1', version: 1 },
      { space: 'ab', name: 'c', version: 12 },
    ]) {
      expect(codeOf(() => ring.open(sealed, other))).toBe('unseal-failed');
    }
  });

  it('rotates: old values still open, and are sealed again with the new key', () => {
    const both = SealingKeyring.fromText(`# rotated\n${oldLine}\n${newLine}`);
    const sealed = ring.seal(secret, context);
    expect(both.open(sealed, context)).toEqual(secret);
    expect(parseSealed(sealed).keyId).not.toBe(both.currentKeyId);
    const resealed = both.reseal(sealed, context, { ...context, version: 4 });
    expect(parseSealed(resealed).keyId).toBe(both.currentKeyId);
    const onlyNew = SealingKeyring.fromText(newLine);
    expect(onlyNew.open(resealed, { ...context, version: 4 })).toEqual(secret);
    expect(() => onlyNew.open(sealed, context)).toThrow(/is not in the key file/);
    expect(codeOf(() => onlyNew.open(sealed, context))).toBe('unseal-failed');
  });

  it('reads JSON key files', () => {
    const [k1, k2] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
    const json = SealingKeyring.fromText(JSON.stringify({ current: 'a', keys: { a: k1, b: k2 } }));
    expect(json.currentKeyId).toBe('a');
    expect(SealingKeyring.fromText(`a:${k1}`).open(json.seal(secret, context), context)).toEqual(secret);
  });

  it('refuses bad key files without quoting key material', () => {
    const key = randomBytes(32).toString('base64');
    const bad = [
      ['', /holds no key/],
      [`a:${key}\na:${key}`, /line 2: the key id "a" is there twice/],
      [`a ${key}`, /line 1: expected keyId:base64/],
      [`a:${key.slice(4)}`, /line 1: the key "a" is not 32 bytes/],
      [`a:${key.replace(/.$/, '!')}`, /not 32 bytes/],
      [`{"current":"x","keys":{"a":"${key}"}}`, /"current" names a key/],
      [`{"current":"a","keys":{"a":"${key}"}`, /not JSON/],
      [`{"keys":{"a":"${key}"}}`, /it must be/],
      [`<${key}>:${key}`, /a key id is/],
    ] as const;
    for (const [text, message] of bad) {
      expect(() => SealingKeyring.fromText(text)).toThrow(message);
      try {
        SealingKeyring.fromText(text);
      } catch (error) {
        const said = `${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`;
        expect(said).not.toContain(key.slice(8, 30));
      }
    }
  });

  it('shows no key when inspected or logged, and refuses what is too large', () => {
    const key = oldLine.trim().split(':')[1] ?? '';
    expect(JSON.stringify(ring)).not.toContain(key);
    expect(codeOf(() => ring.seal(new Uint8Array(maxSealedPlaintextBytes + 1), context))).toBe('limit-exceeded');
  });

  it('keeps any bytes (property)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.nat(), (bytes, name, version) => {
        const where = { space: 'default', name, version };
        const sealed = ring.seal(bytes, where);
        return ring.open(sealed, where).equals(bytes) && parseSealed(sealed).ciphertext.length === bytes.length;
      }),
    );
  });
});
