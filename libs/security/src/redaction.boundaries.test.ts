import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RedactionSet } from './redaction.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`redaction.boundaries.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 500 : 40;

/** What programs print of a secret, by encoders that know nothing of the patterns that are looked for. */
const encoders: Readonly<Record<string, (secret: string) => string>> = {
  plain: (secret) => secret,
  base64: (secret) => Buffer.from(secret).toString('base64'),
  'base64 without padding': (secret) => Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  'base64 one byte in': (secret) => Buffer.from(`:${secret}`).toString('base64'),
  'base64 two bytes in': (secret) => Buffer.from(`a:${secret}`).toString('base64'),
  'base64 in the middle': (secret) => Buffer.from(`user:${secret}\n`).toString('base64'),
  base64url: (secret) => Buffer.from(secret).toString('base64url'),
  'base64url two bytes in': (secret) => Buffer.from(`a:${secret}!`).toString('base64url'),
  hex: (secret) => Buffer.from(secret).toString('hex'),
  'upper hex': (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
  URL: (secret) => encodeURIComponent(secret),
  'lower URL': (secret) => encodeURIComponent(secret).replace(/%../g, (triplet) => triplet.toLowerCase()),
  form: (secret) => new URLSearchParams({ s: secret }).toString().slice(2),
  JSON: (secret) => JSON.stringify(secret).slice(1, -1),
  shell: (secret) => secret.replaceAll("'", `'\\''`),
};

/** Between ASCII a secret may hold anything that a keyboard has; a lone surrogate is no text. */
const character = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }) },
  { weight: 1, arbitrary: fc.constantFrom('ä', '€', '😀', '"', "'", '\\', '/', '+', '%', '&', '\n', '\t') },
);
const secrets = fc
  .array(character, { minLength: 12, maxLength: 40 })
  .map((characters) => characters.join(''))
  // White space at the ends is looked for with and without; what else may be a part of the text around it is not of interest here.
  .filter((secret) => secret.trim() === secret && Buffer.byteLength(secret) >= 12);

/** All that is left of the text beside the mask, after it was cut at a place into two chunks. */
function masked(set: RedactionSet, data: Buffer, at: number): string {
  const redactor = set.redactor();
  const parts = [redactor.write(data.subarray(0, at)), redactor.write(data.subarray(at)), redactor.flush()];
  return Buffer.concat(parts).toString('latin1');
}

describe('masks at every boundary', () => {
  it.each(Object.keys(encoders))(`%s, cut at each byte (property, ${runs} secrets)`, (name) => {
    fc.assert(
      fc.property(secrets, (secret) => {
        const set = new RedactionSet([{ name: 's', value: secret }]);
        const encoded = Buffer.from(encoders[name]!(secret));
        const data = Buffer.concat([Buffer.from('<< '), encoded, Buffer.from(' >>')]);
        const whole = masked(set, data, 0);
        // At the ends of base64 a character also depends on what stands beside the secret.
        expect(whole).toMatch(/^<< .{0,8}\*\*\*.{0,8} >>$/s);
        const middle = encoded.toString('latin1', 8, encoded.length - 8);
        // What is shorter may stand in the text around it by chance.
        if (middle.trim().length >= 4) expect(whole).not.toContain(middle);
        for (let at = 1; at < data.length; at += 1) expect(masked(set, data, at)).toBe(whole);
        const bytes = set.redactor();
        const out = [...data].map((byte) => bytes.write(Buffer.from([byte])));
        expect(Buffer.concat([...out, bytes.flush()]).toString('latin1')).toBe(whole);
      }),
      { seed, numRuns: runs },
    );
  });

  it('masks each line of a private key by itself, cut at each byte', () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const form of ['private-key', 'value'] as const) {
      const set = new RedactionSet([{ name: 'key', value: pem, form }]);
      const [, body = ''] = pem.split('\n');
      const data = Buffer.from(`| ${body}\r\n`);
      for (let at = 0; at <= data.length; at += 1) expect(masked(set, data, at)).toBe('| ***\r\n');
    }
  });
});
