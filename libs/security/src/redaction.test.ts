import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { collectPatterns } from './redaction-patterns.js';
import { RedactionSet } from './redaction.js';

const runs = process.env['FETTLE_LONG'] === '1' ? 3000 : 300;

const one = (value: string | Uint8Array): RedactionSet => new RedactionSet([{ name: 's', value }]);

function stream(set: RedactionSet, chunks: readonly Uint8Array[]): Buffer {
  const redactor = set.redactor();
  return Buffer.concat([...chunks.map((chunk) => redactor.write(chunk)), redactor.flush()]);
}

/** The plain definition: all places of all patterns, overlapping and touching ones joined, each replaced. */
function reference(patterns: readonly Buffer[], data: Buffer): Buffer {
  const covered = new Uint8Array(data.length);
  for (const pattern of patterns) {
    for (let at = data.indexOf(pattern); at >= 0; at = data.indexOf(pattern, at + 1))
      covered.fill(1, at, at + pattern.length);
  }
  const parts: Buffer[] = [];
  for (let i = 0; i < data.length; i += 1) {
    if (!covered[i]) parts.push(data.subarray(i, i + 1));
    else if (!covered[i - 1]) parts.push(Buffer.from('***'));
  }
  return Buffer.concat(parts);
}

function cut(data: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set([0, ...cuts.map((place) => place % (data.length + 1)), data.length])].sort(
    (a, b) => a - b,
  );
  return places.slice(1).map((end, i) => data.subarray(places[i], end));
}

describe('Redactor', () => {
  const password = `p@ss/w"ör'd <&>+ x`;
  const set = one(password);

  it('masks the encodings that programs print', () => {
    const utf8 = Buffer.from(password, 'utf8');
    const ascii = JSON.stringify(password).replace(
      /[^ -~]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    const printed = [
      password,
      JSON.stringify({ password }),
      `{"password": ${ascii}}`,
      ascii.replaceAll('/', '\\/'),
      utf8.toString('hex'),
      utf8.toString('hex').toUpperCase(),
      utf8.toString('base64'),
      utf8.toString('base64url'),
      encodeURIComponent(password),
      encodeURIComponent(password).replace(/%../g, (triplet) => triplet.toLowerCase()),
      new URLSearchParams({ password }).toString(),
      `'${password.replaceAll("'", "'\\''")}'`,
    ];
    for (const text of printed) {
      const masked = set.redactText(`before ${text} after`);
      expect(masked).toMatch(/^before .*\*\*\*.* after$/);
      for (const part of [
        'p@ss',
        'w"',
        "r'd",
        utf8.toString('hex', 2, 8),
        utf8.toString('base64').slice(4, 12),
        'p%40ss',
        'p%40ss'.toLowerCase(),
      ]) {
        expect(masked.toLowerCase()).not.toContain(part.toLowerCase());
      }
    }
  });

  it('masks a secret inside a longer base64 text, at each offset', () => {
    for (const before of ['', 'u', 'us', 'user:', 'admin:']) {
      const header = `Authorization: Basic ${Buffer.from(`${before}hunter2hunter2\n`).toString('base64')}`;
      const masked = one('hunter2hunter2').redactText(header);
      const left = Buffer.from(masked.replace(/^.* /, '').replace('***', ''), 'base64').toString('latin1');
      expect(masked).toContain('***');
      expect(left).not.toMatch(/unter|nter2|hunt/);
    }
  });

  it('masks a key line by line, as cat with other line ends, base64 and openssl print it', () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const keys = one(pem);
    const body = pem.split('\n')[1] ?? '';
    expect(keys.unprotected).toEqual([]);
    expect(keys.redactText(pem)).toBe('***');
    expect(keys.redactText(pem.replaceAll('\n', '\r\n'))).not.toContain(body.slice(0, 12));
    expect(keys.redactText(`log: ${body}`)).toBe('log: ***');
    for (const width of [64, 76]) {
      const lines =
        Buffer.from(pem)
          .toString('base64')
          .match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
      expect(lines.length).toBeGreaterThan(1);
      expect(keys.redactText(lines.join('\n')).replace(/\*\*\*|\n/g, '')).toBe('');
    }
  });

  it('masks a private key by its lines and theirs in base64, with small tables, and leaves what is no secret', () => {
    for (const pem of [
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      generateKeyPairSync('rsa', { modulusLength: 4096 })
        .privateKey.export({ type: 'pkcs1', format: 'pem' })
        .toString(),
    ]) {
      const keys = new RedactionSet([{ name: 'key', value: pem, form: 'private-key' }]);
      expect(keys.unprotected).toEqual([]);
      const lines = pem.trim().split('\n');
      const masked = keys.redactText(pem).trim().split('\n');
      expect(masked).toEqual([lines[0], ...lines.slice(1, -1).map(() => '***'), lines.at(-1)]);
      expect(keys.redactText(lines.map((line) => `log: ${line}\r`).join('\n'))).not.toContain(lines[1]?.slice(2, 20));
      // Unbroken, as `base64 -w0` prints it: the lines of 76 touch and become one mask.
      expect(keys.redactText(Buffer.from(pem).toString('base64')).length).toBeLessThan(20);
      const { patterns } = collectPatterns([{ name: 'key', value: pem, form: 'private-key' }]);
      expect(patterns.reduce((sum, pattern) => sum + pattern.length, 0)).toBeLessThan(5 * pem.length);
    }
  });

  it('masks the strings of a JSON value and keeps its shape', () => {
    const value = { hunter22: ['a hunter22', 1, null, { deep: 'hunter22' }], ['__proto__']: true };
    expect(one('hunter22').redactJson(value)).toEqual({
      hunter22: ['a ***', 1, null, { deep: '***' }],
      ['__proto__']: true,
    });
    expect(new RedactionSet([]).redactJson(value)).toBe(value);
  });

  it('masks what a program prints without the newline at the end of the stored value', () => {
    expect(one('tr0ub4dor\n').redactText('password is tr0ub4dor.')).toBe('password is ***.');
  });

  it('masks binary secrets', () => {
    const binary = Buffer.from([0xff, 0x00, 0xfe, 0x80, 0x81]);
    const masked = stream(one(binary), [Buffer.from('a'), binary, Buffer.from(`b ${binary.toString('hex')} c`)]);
    expect(masked.toString('latin1')).toBe('a***b *** c');
  });

  it('holds back only what may be the beginning of a secret, and gives it at the end', () => {
    const redactor = one('secret-value').redactor();
    expect(redactor.write(Buffer.from('Password: ')).toString()).toBe('Password: ');
    expect(redactor.write(Buffer.from('not sec')).toString()).toBe('not ');
    expect(redactor.write(Buffer.from('ular, secret-val')).toString()).toBe('secular, ');
    expect(redactor.write(Buffer.from('ue!')).toString()).toBe('***!');
    expect(redactor.write(Buffer.from('secret-')).toString()).toBe('');
    expect(redactor.flush().toString()).toBe('secret-');
    expect(redactor.write(Buffer.from('value')).toString()).toBe('value');
    expect(redactor.flush().toString()).toBe('');
  });

  it('joins overlapping and touching finds, and says nothing of their number or length', () => {
    const both = new RedactionSet([
      { name: 'a', value: 'abcdef' },
      { name: 'b', value: 'defghi' },
    ]);
    for (const text of ['abcdefghi', 'abcdefabcdef', 'abcdefdefghi', 'abcdefghidefghiabcdef']) {
      expect(both.redactText(`<${text}>`)).toBe('<***>');
      expect(
        stream(
          both,
          [...Buffer.from(`<${text}>`)].map((byte) => Buffer.from([byte])),
        ).toString(),
      ).toBe('<***>');
    }
  });

  it('reports secrets it cannot mask, without their values', () => {
    const reported = new RedactionSet([
      { name: 'pin', value: '123' },
      { name: 'empty', value: '' },
      { name: 'image', value: 'x'.repeat(20_000) },
      { name: 'good', value: '1234' },
      ...Array.from({ length: 300 }, (_, i) => ({ name: `many-${i}`, value: `${i}-`.repeat(40) })),
    ]);
    expect(reported.unprotected.slice(0, 3)).toEqual([
      { name: 'pin', reason: 'too-short' },
      { name: 'empty', reason: 'too-short' },
      { name: 'image', reason: 'too-long' },
    ]);
    expect(reported.unprotected.filter((secret) => secret.reason === 'too-many').length).toBeGreaterThan(0);
    expect(reported.redactText('123 1234 12345')).toBe('123 *** ***5');
  });

  it('passes everything through where there is no secret, as a copy', () => {
    const chunk = Buffer.from('abc');
    const out = new RedactionSet([]).redactor().write(chunk);
    chunk.fill(0);
    expect(out.toString()).toBe('abc');
  });

  it(`equals the plain definition however the stream is cut (property, ${runs} times)`, () => {
    // A small alphabet makes secrets overlap, contain and repeat each other.
    const word = (max: number): fc.Arbitrary<string> =>
      fc
        .array(fc.constantFrom('a', 'b', '"', '/'), { minLength: 4, maxLength: max })
        .map((letters) => letters.join(''));
    const piece = fc.oneof(word(12), fc.constantFrom('a', 'b', '\\', '%2F', '%', 'YW'), fc.nat());
    fc.assert(
      fc.property(
        fc.array(word(9), { minLength: 1, maxLength: 4 }),
        fc.array(fc.oneof(piece, fc.nat(3)), { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.boolean(),
        (values, pieces, cuts, everyByte) => {
          const secrets = values.map((value, i) => ({ name: `${i}`, value }));
          const { patterns } = collectPatterns(secrets);
          // Numbers up to the number of patterns put one of them in.
          const data = Buffer.concat(
            pieces.map((item) =>
              typeof item === 'number' ? (patterns[item % patterns.length] ?? Buffer.alloc(0)) : Buffer.from(item),
            ),
          );
          const chunks = everyByte ? [...data].map((byte) => Buffer.from([byte])) : cut(data, cuts);
          const out = stream(new RedactionSet(secrets), chunks);
          expect(out.toString('latin1')).toBe(reference(patterns, data).toString('latin1'));
        },
      ),
      { numRuns: runs },
    );
  });

  it('keeps all other bytes (property)', () => {
    const redaction = one('a secret that is not in there');
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }), (chunks) =>
        stream(redaction, chunks).equals(Buffer.concat(chunks)),
      ),
    );
  });
});
