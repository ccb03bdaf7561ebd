import { describe, expect, it } from '@jest/globals';
import type { Finding } from '@fettle/contracts';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { documentDigest, parseDocuments } from './parse-documents.js';
import { sourceLimits } from './read-yaml.js';

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)), 'utf8');

const parse = (text: string) => parseDocuments(text, { file: 'f.yaml' });

/** `line:column code path text suggestion` of each finding. */
const brief = (findings: readonly Finding[]): string[] =>
  findings.map((found) => {
    const { position, code, path = '', text = '', suggestion = '' } = found;
    return `${position?.line}:${position?.column} ${code} ${path} [${text}] ${suggestion}`.trimEnd();
  });

const head = 'apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: a}\n';
const steps = 'steps: [{id: s, uses: ssh.run}]';
const runbook = `${head}spec: {${steps}}\n`;

describe('parseDocuments', () => {
  it('reads the documents of the issue with their defaults', () => {
    const { documents, findings } = parseDocuments(fixture('make-file.yaml'), { file: 'make-file.yaml' });
    expect(findings).toEqual([]);
    expect(documents.map((parsed) => [parsed.document?.kind, parsed.document?.metadata.name])).toEqual([
      ['Runbook', 'make-file'],
      ['Schedule', 'make-file-nightly'],
    ]);
    expect(documents[0]?.document?.metadata).toEqual({ name: 'make-file', space: 'default', labels: { team: 'web' } });
    expect(documents[0]?.value).toMatchObject({ metadata: { name: 'make-file', labels: { team: 'web' } } });
    expect(documents[1]?.places.valueAt(['spec', 'cron'])).toEqual({
      position: { file: 'make-file.yaml', line: 18, column: 11 },
      text: "'30 2 * * *'",
    });
    expect(documents[1]?.places.keyAt(['spec', 'timeZone']).position).toMatchObject({ line: 19, column: 5 });
  });

  it('reads JSON, CRLF and a byte order mark', () => {
    const value = {
      apiVersion: 'fettle/v1',
      kind: 'Runbook',
      metadata: { name: 'a' },
      spec: { steps: [{ id: 's', uses: 'x' }] },
    };
    for (const text of [
      JSON.stringify(value),
      JSON.stringify(value, null, '\t'),
      `\uFEFF${JSON.stringify(value, null, 2)}`,
    ]) {
      const { documents, findings } = parse(text);
      expect(findings).toEqual([]);
      expect(documents[0]?.value).toEqual(value);
    }
    const { documents, findings } = parse(`\uFEFF${runbook.replaceAll('\n', '\r\n')}`);
    expect(findings).toEqual([]);
    expect(documents[0]?.places.keyAt(['kind']).position).toEqual({ file: 'f.yaml', line: 2, column: 1 });
  });

  it('names versions by the source before defaults, whatever the order of keys and the notation', () => {
    const flow = parse(`{kind: Runbook, spec: {${steps}}, metadata: {name: a}, apiVersion: fettle/v1}`).documents[0];
    const block = parse(runbook).documents[0];
    expect(flow?.digest).toBe(block?.digest);
    expect(flow?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(parse(runbook.replace('name: a', 'name: a, space: default')).documents[0]?.digest).not.toBe(flow?.digest);
    // `printf '{"a":[1,"x"],"b":null}' | sha256sum`
    expect(documentDigest({ b: null, a: [1, 'x'] })).toBe(
      'sha256:854ef06dc57f5dfed10206344ab2d02e0b6c84b0e19436703a5afd0f1f9f2687',
    );
  });

  it('leaves out empty documents, and says when there is none', () => {
    expect(parse(`---\n# nothing\n---\n${runbook}---\n`).documents).toHaveLength(1);
    for (const empty of ['', '# only words\n', '---\n---\n', 'null']) {
      expect(brief(parse(empty).findings)).toEqual(['1:1 no-documents  []']);
    }
  });
});

describe('wrong shapes', () => {
  it('reports all of them at once with exact places, the offending text and a suggestion', () => {
    const { documents, findings } = parseDocuments(fixture('wrong-shapes.yaml'), { file: 'f.yaml' });
    expect(documents.map((parsed) => parsed.document)).toEqual([null]);
    expect(brief(findings)).toEqual([
      '1:13 invalid-value apiVersion [fettle/v2] fettle/v1',
      '4:9 invalid-value metadata.name [Make File]',
      '5:3 unknown-field metadata.lables [lables] labels',
      '7:3 unknown-field spec.target [target] targets',
      "8:12 invalid-value spec.timeout ['5 minutes']",
      '9:30 invalid-value spec.rollout.maxConcurrency [5000]',
      '11:11 invalid-value spec.steps[0].id [1st]',
      '12:13 wrong-type spec.steps[0].uses [3]',
      '13:13 wrong-type spec.steps[0].with [[touch, /tmp/x]]',
      '15:29 wrong-type spec.steps[0].retry.maxAttempts [2.5]',
      '16:16 wrong-type spec.steps[0].timeout [true]',
      '17:18 invalid-value spec.steps[0].outputs.Size [Size]',
      '18:7 step-kind spec.steps[1] [id: second]',
      '19:7 wrong-type spec.steps[2] [just text]',
    ]);
    expect(findings[8]?.message).toBe('"with" must be an object, not a list');
    expect(findings[10]?.message).toBe('"timeout" must be a number or text, not true');
  });

  it('tells a missing or unknown kind apart', () => {
    expect(brief(parse('apiVersion: fettle/v1\nkind: Runbok\nmetadata: {name: X}\nspec: {steps: 1}').findings)).toEqual(
      [
        '2:7 unknown-kind kind [Runbok] Runbook',
        '3:18 invalid-value metadata.name [X]',
        '4:15 wrong-type spec.steps [1]',
      ],
    );
    expect(brief(parse('apiVersion: v1\nkind: Deployment\nmetadata: {name: X}').findings)).toEqual([
      '1:13 invalid-value apiVersion [v1] fettle/v1',
      '2:7 unknown-kind kind [Deployment]',
      '3:18 invalid-value metadata.name [X]',
    ]);
    expect(brief(parse('apiVersion: fettle/v1\nKind: Runbook').findings)).toEqual([
      '2:1 missing-field kind [Kind] kind',
    ]);
    expect(brief(parse('apiVersion: fettle/v1').findings)).toEqual(['1:1 missing-field kind []']);
    expect(brief(parse('kind: 3').findings)).toEqual(['1:7 wrong-type kind [3]']);
    expect(brief(parse('kind: toString').findings)).toEqual(['1:7 unknown-kind kind [toString]']);
    expect(brief(parse('- a').findings)).toEqual(['1:1 wrong-type  [- a]']);
  });

  it('reads the other documents of a source that holds a wrong one', () => {
    const { documents, findings } = parse(`kind: Nope\n---\n${runbook}`);
    expect(documents.map((parsed) => parsed.document?.kind ?? null)).toEqual([null, 'Runbook']);
    expect(findings).toHaveLength(1);
  });
});

describe('hostile sources', () => {
  const refused = (text: string): string[] => {
    const { findings, documents } = parse(text);
    expect(documents.every((parsed) => parsed.document === null)).toBe(true);
    return brief(findings);
  };

  it('refuses duplicate keys with both places', () => {
    expect(refused(`${head}kind: Schedule\n`)).toEqual(['4:1 duplicate-key kind [kind]']);
    expect(parse(`${head}kind: Schedule\n`).findings[0]?.message).toBe('the key "kind" is given twice; first at 2:1');
    expect(refused('{"a": 1, "b": {"x": 1, "x": 2}}')).toEqual(['1:24 duplicate-key b.x ["x"]']);
  });

  it('refuses keys that reach prototypes, and leaves prototypes alone', () => {
    expect(refused(`${head}spec:\n  __proto__: {polluted: true}\n`)).toEqual(['5:3 forbidden-key spec [__proto__]']);
    expect(refused('{"constructor": {"prototype": {"polluted": true}}}')).toEqual([
      '1:2 forbidden-key  ["constructor"]',
    ]);
    expect(refused('"\\u005f_proto__": 1')).toEqual(['1:1 forbidden-key  ["\\u005f_proto__"]']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('refuses tags, directives, merge keys and keys that are not text', () => {
    expect(refused('a: !!js/function "x"')).toEqual(['1:4 tag-refused  [!!js/function]']);
    expect(refused('!mine\na: 1')).toEqual(['1:1 tag-refused  [!mine]']);
    expect(refused('%YAML 1.1\n---\na: yes')).toEqual(['1:1 directive-refused  [%YAML 1.1]']);
    expect(refused('%TAG ! tag:x,2020:\n---\na: 1')).toEqual(['1:1 directive-refused  [%TAG ! tag:x,2020:]']);
    expect(parse(`%YAML 1.2\n---\n${runbook}`).findings).toEqual([]);
    expect(refused('a: &a {x: 1}\nb: {<<: *a}')).toEqual(['2:5 merge-key-refused b [<<]']);
    for (const key of ['1', 'true', 'null', '? [a]\n', '? {a: 1}\n', '']) {
      expect(refused(`${key}: x`)[0]).toMatch(/^1:\d non-string-key/);
    }
  });

  it('refuses characters that no text may hold, written or escaped', () => {
    expect(refused('a: x\0y')).toEqual(['1:5 unprintable-character  []']);
    expect(refused('a: 1\nb: "x\\0y"')).toEqual(['2:4 unprintable-character b ["x\\0y"]']);
    expect(refused('a: "\\ud800"')).toEqual(['1:4 unprintable-character a ["\\ud800"]']);
    expect(refused('a: \u001fx')).toEqual(['1:4 unprintable-character  []']);
  });

  it('refuses numbers that would not survive', () => {
    expect(refused('{kind: Runbook, a: 12345678901234567890}')).toEqual([
      '1:20 invalid-number a [12345678901234567890]',
    ]);
    for (const number of ['.inf', '-.inf', '.nan', '1e999'])
      expect(refused(`a: ${number}`)).toEqual([`1:4 invalid-number a [${number}]`]);
  });

  it('refuses deep nesting in every notation', () => {
    const depth = 10_000;
    const sources = [
      '['.repeat(depth) + ']'.repeat(depth),
      '{a: '.repeat(depth) + '}'.repeat(depth),
      '- '.repeat(depth) + 'x',
      '? '.repeat(depth) + 'x',
      'a: ['.repeat(depth),
      Array.from({ length: 1000 }, (_, level) => `${' '.repeat(level)}a:`).join('\n'),
      JSON.stringify(nested(depth)),
    ];
    for (const source of sources) expect(refused(source)).toEqual([expect.stringMatching(/ too-deep /)]);
    expect(brief(parse(`a: ${'['.repeat(63)}${']'.repeat(63)}`).findings)).toEqual(['1:1 missing-field kind []']);
  });

  it('refuses alias bombs, cycles and unknown aliases', () => {
    const levels = Array.from({ length: 9 }, (_, level) =>
      level === 0
        ? 'l0: &l0 [x,x,x,x,x,x,x,x,x]'
        : `l${level}: &l${level} [${Array(9)
            .fill(`*l${level - 1}`)
            .join(',')}]`,
    );
    expect(refused(levels.join('\n'))).toEqual([expect.stringMatching(/ too-complex /)]);
    const long = `a: &a "${'x'.repeat(200_000)}"\n${Array.from({ length: 50 }, (_, index) => `k${index}: *a`).join('\n')}`;
    expect(refused(long)).toEqual([expect.stringMatching(/ too-complex /)]);
    expect(refused(`a: &a 1\nb: [${'*a,'.repeat(1000)}]`)).toEqual([expect.stringMatching(/ too-many-aliases /)]);
    expect(refused('a: &a [1, *a]')).toEqual(['1:11 invalid-alias a[1] [*a]']);
    expect(refused('a: *b')).toEqual(['1:4 invalid-alias a [*b]']);
    expect(parse(`${head}spec: {steps: [&s {id: s, uses: x}]}\n`).findings).toEqual([]);
  });

  it('refuses what is too large or too many', () => {
    expect(refused(`# ${'x'.repeat(sourceLimits.maxBytes)}`)).toEqual([
      expect.stringMatching(/^1:1 source-too-large /),
    ]);
    expect(refused(`# ${'€'.repeat(sourceLimits.maxBytes / 2)}`)).toEqual([
      expect.stringMatching(/^1:1 source-too-large /),
    ]);
    expect(refused('---\na: 1\n'.repeat(101))).toEqual(['201:1 too-many-documents  []']);
    const many = Array.from({ length: 50_001 }, () => '1').join(',');
    expect(refused(`[${many}]`)).toEqual([expect.stringMatching(/ too-complex /)]);
  });

  it('ends after a few syntax errors, however many there are', () => {
    for (const flood of [
      '"'.repeat(300_000),
      `[${','.repeat(300_000)}`,
      '&a '.repeat(50),
      '}'.repeat(300_000),
      '%a\n'.repeat(1000),
    ]) {
      const { findings } = parse(flood);
      expect(findings.length).toBeGreaterThan(0);
      expect(findings.length).toBeLessThanOrEqual(201);
    }
    expect(refused('}')).toEqual(['1:1 yaml-syntax  [}]']);
    expect(refused('a: [1, 2\nb: 3')[0]).toMatch(/^2:1 yaml-syntax/);
    expect(refused('a: "open')[0]).toMatch(/^1:9 yaml-syntax/);
  });
});

function nested(depth: number): unknown {
  // JSON.stringify recurses, so the text is only as deep as it can write.
  let value: unknown = 1;
  for (let level = 0; level < Math.min(depth, 2000); level += 1) value = [value];
  return value;
}
