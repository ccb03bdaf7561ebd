import { describe, expect, it } from '@jest/globals';
import { documentKinds } from '@fettle/contracts';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatFinding } from './format-finding.js';
import { parseDocuments } from './parse-documents.js';
import { validateDocuments } from './validate-documents.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`parse-documents.fuzz.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 2000 : 150;

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)), 'utf8');
const examples = [
  'every-step.yaml',
  'make-file.yaml',
  'rolling-restart.yaml',
  'wrong-steps.yaml',
  'wrong-shapes.yaml',
].map(fixture);

const fragments = [
  ...[
    'a: ',
    '- ',
    '? ',
    ': ',
    '{',
    '}',
    '[',
    ']',
    ',',
    '"',
    "'",
    '|\n',
    '>-\n',
    '&a ',
    '*a',
    '!!str ',
    '!x ',
    '---\n',
    '...\n',
    '%YAML 1.2\n',
  ],
  ...[
    '<<: ',
    '#',
    '\n',
    '\n  ',
    '\n    ',
    '\t',
    '\r\n',
    '\0',
    '\uFEFF',
    '\u2028',
    '\ud800',
    '💥',
    '__proto__: ',
    'constructor: ',
    '0x1f',
    '1e999',
  ],
  ...[
    '${{ ',
    ' }}',
    'inputs.x',
    'steps.a.b',
    'apiVersion: fettle/v1\n',
    'kind: Runbook\n',
    'metadata: {name: a}\n',
    'spec:\n',
    'steps:\n',
  ],
  ...[
    'id: a',
    'uses: x',
    'with: ',
    'if: ',
    'true',
    'null',
    '.nan',
    '2026-01-01',
    'x'.repeat(300),
    ' '.repeat(40),
    '[['.repeat(40),
  ],
];
const soup = fc.array(
  fc.oneof({ arbitrary: fc.constantFrom(...fragments), weight: 4 }, fc.string({ unit: 'binary', maxLength: 5 })),
  { maxLength: 80 },
);
const soupText = soup.map((parts) => parts.join(''));
/** An example with pieces cut out, doubled or replaced by soup. */
const mutated = fc
  .tuple(
    fc.constantFrom(...examples),
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 40 }), fc.constantFrom('', ...fragments)), {
      minLength: 1,
      maxLength: 6,
    }),
  )
  .map(([example, edits]) =>
    edits.reduce((text, [at, length, put]) => {
      const start = at % (text.length + 1);
      return text.slice(0, start) + put + text.slice(start + length);
    }, example),
  );
/** Long runs of one or two fragments: what costs quadratic time somewhere. */
const flood = fc
  .tuple(fc.constantFrom(...fragments), fc.constantFrom('', ...fragments), fc.integer({ min: 1, max: 2000 }))
  .map(([a, b, count]) => (a + b).repeat(count).slice(0, 200_000));
const json = fc
  .json({ maxDepth: 6 })
  .map((text) => `{"apiVersion":"fettle/v1","kind":"Runbook","metadata":{"name":"a"},"spec":${text}}`);

/** Every source must give findings that can be printed, or documents of right shape; never an exception. A hang ends at the test's timeout. */
function expectOrderly(text: string): void {
  const { documents, findings } = parseDocuments(text, { file: 'f.yaml' });
  for (const found of findings) {
    const lines = text.split('\n').length;
    expect(found.position?.line).toBeGreaterThanOrEqual(1);
    expect(found.position?.line).toBeLessThanOrEqual(lines);
    expect(found.position?.column).toBeGreaterThanOrEqual(1);
    expect((found.text ?? '').length).toBeLessThanOrEqual(120);
    expect(formatFinding(found, text)).toContain(found.message);
  }
  if (findings.length === 0) expect(documents.length).toBeGreaterThan(0);
  for (const { document, value, digest } of documents) {
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    if (document === null) expect(findings.length).toBeGreaterThan(0);
    else expect(documentKinds[document.kind].safeParse(value).success).toBe(true);
  }
  for (const found of validateDocuments(documents, { actions: {} })) expect(found.position).toBeDefined();
  expect(({} as Record<string, unknown>)['a']).toBeUndefined();
}

describe(`parseDocuments on anything, ${runs} times each`, () => {
  it.each([
    ['soup of YAML', soupText],
    ['mutated examples', mutated],
    ['floods', flood],
    ['any JSON as spec', json],
    ['any text', fc.string({ unit: 'binary', maxLength: 300 })],
  ])(
    '%s',
    (_name, arbitrary) => {
      const count = arbitrary === flood ? Math.ceil(runs / 10) : runs;
      fc.assert(fc.property(arbitrary, expectOrderly), { seed, numRuns: count });
    },
    600_000,
  );
});
