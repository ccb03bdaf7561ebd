import { describe, expect, it } from '@jest/globals';
import { idSchema } from '@fettle/contracts';
import { apiTokenPattern, createToken, hashToken, parseToken, tokenMatches } from './tokens.js';

describe('API tokens', () => {
  it('are found again by their id and match only themselves', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 500; i += 1) {
      const { id, token, hash } = createToken();
      expect(idSchema.safeParse(id).success).toBe(true);
      expect(id[14]).toBe('7');
      expect('89ab').toContain(id[19]);
      expect(parseToken(token)).toEqual({ id });
      expect(tokenMatches(token, hash)).toBe(true);
      expect(tokenMatches(createToken().token, hash)).toBe(false);
      expect(token).not.toContain(hash.toString('hex'));
      seen.add(token);
    }
    expect(seen.size).toBe(500);
  });

  it('carry the time in their id', () => {
    const { id } = createToken(Date.UTC(2026, 10, 22));
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(Date.UTC(2026, 10, 22));
  });

  it('refuse whatever is not exactly a token', () => {
    const { token } = createToken();
    for (const bad of [
      '',
      'fettle_',
      `${token}x`,
      ` ${token}`,
      `${token}\n`,
      token.slice(0, -1),
      token.toUpperCase(),
      'x'.repeat(1e6),
    ]) {
      expect(parseToken(bad)).toBeNull();
    }
    // Padding bits of the id that are not zero would be a second spelling.
    const spelled = `${token.slice(0, 32)}${token[32] === 'b' ? 'd' : 'b'}${token.slice(33)}`;
    expect(parseToken(spelled)).toBeNull();
  });

  it('do not match a hash of another length, and hash as SHA-256 does', () => {
    expect(tokenMatches('x', new Uint8Array(31))).toBe(false);
    expect(tokenMatches('x', new Uint8Array(0))).toBe(false);
    // FIPS 180-2 appendix B.1
    expect(hashToken('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('can be found in a text by scanners', () => {
    const [one, two] = [createToken().token, createToken().token];
    const text = `FETTLE_TOKEN=${one}; curl -H "Authorization: Bearer ${two}" fettle_nothing`;
    expect(text.match(new RegExp(apiTokenPattern, 'g'))).toEqual([one, two]);
  });
});
