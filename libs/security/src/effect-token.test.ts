import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { effectToken, generateEffectTokenKeyText, parseEffectTokenKey, type EffectIdentity } from './effect-token.js';

const key = Buffer.alloc(32, 7);
const effect: EffectIdentity = { runId: 'r', stepPath: 'deploy/restart[3]', assetId: 'a', phase: 'do', generation: 1 };

describe('effectToken', () => {
  it('is stable: runs in flight find their effects after an upgrade', () => {
    // Computed with OpenSSL over the documented encoding:
    // printf '\0\0\0\x16fettle/effect-token/v1\0\0\0\1r\0\0\0\x11deploy/restart[3]\0\0\0\1a\0\0\0\2do\0\0\0\0011' |
    //   openssl dgst -sha256 -mac HMAC -macopt hexkey:0707...
    expect(effectToken(key, effect)).toBe('44c42799ea1ec3ca54c0e87d1e39df64');
  });

  it('differs with each field, and fields do not run into each other', () => {
    const variants: EffectIdentity[] = [
      effect,
      { ...effect, runId: 'r2' },
      { ...effect, stepPath: 'deploy/restart[4]' },
      { ...effect, assetId: 'b' },
      { ...effect, phase: 'undo' },
      { ...effect, generation: 2 },
      { ...effect, runId: 'rdeploy', stepPath: '/restart[3]' },
      { ...effect, assetId: '', stepPath: 'deploy/restart[3]a' },
    ];
    expect(new Set(variants.map((variant) => effectToken(key, variant))).size).toBe(variants.length);
    expect(effectToken(Buffer.alloc(32, 8), effect)).not.toBe(effectToken(key, effect));
  });

  it('is a function of its fields alone (property)', () => {
    const identity = fc.record({
      runId: fc.string({ unit: 'grapheme' }),
      stepPath: fc.string({ unit: 'grapheme' }),
      assetId: fc.string(),
      phase: fc.constantFrom('do' as const, 'undo' as const),
      generation: fc.nat(),
    });
    fc.assert(
      fc.property(identity, identity, (left, right) => {
        const same = JSON.stringify(left) === JSON.stringify(right);
        return (
          (effectToken(key, left) === effectToken(key, right)) === same && /^[0-9a-f]{32}$/.test(effectToken(key, left))
        );
      }),
    );
  });

  it('refuses short keys, impossible generations and ill-formed text', () => {
    expect(() => effectToken(Buffer.alloc(31), effect)).toThrow(/31 bytes/);
    expect(() => effectToken(key, { ...effect, generation: 1.5 })).toThrow(/generation/);
    expect(() => effectToken(key, { ...effect, generation: -1 })).toThrow(/generation/);
    expect(() => effectToken(key, { ...effect, stepPath: '\ud800' })).toThrow(/well-formed/);
  });

  it('reads the key files it writes, and no others', () => {
    expect(parseEffectTokenKey(generateEffectTokenKeyText())).toHaveLength(32);
    for (const bad of ['', 'abcd', `${'A'.repeat(42)}!=`]) expect(() => parseEffectTokenKey(bad)).toThrow(/32 bytes/);
  });
});
