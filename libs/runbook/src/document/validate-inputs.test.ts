import { describe, expect, it } from '@jest/globals';
import type { Finding } from '@fettle/contracts';
import { checkInputsSchema, validateInputs, validatePayload } from './validate-inputs.js';

const check = (schema: Record<string, unknown>, inputs: unknown) => validateInputs({ inputs: schema }, inputs);
const brief = (findings: readonly Finding[]): string[] =>
  findings.map(
    ({ code, path = '', message, suggestion }) => `${code} ${path}: ${message}${suggestion ? ` -> ${suggestion}` : ''}`,
  );

const schema = {
  type: 'object',
  required: ['path'],
  additionalProperties: false,
  properties: {
    path: { type: 'string', pattern: '^/[a-z/]+$' },
    mode: { enum: ['0644', '0600'], default: '0644' },
    retries: { type: 'integer', minimum: 0, default: 3 },
    owner: { type: 'object', properties: { name: { type: 'string', default: 'root' } }, required: ['name'] },
    when: { type: 'string', format: 'date' },
    port: { anyOf: [{ type: 'integer' }, { type: 'string', minLength: 2 }] },
  },
};

describe('validateInputs', () => {
  it('refuses what the schema does not name, unless the schema speaks of other members itself', () => {
    const open = { type: 'object', properties: { version: { type: 'string', default: '1' } } };
    expect(brief(check(open, { verison: '2' }).findings)).toEqual([
      'invalid-inputs inputs.verison: the runbook has no input "verison"; known inputs are version -> version',
    ]);
    for (const rule of [
      { additionalProperties: true },
      { additionalProperties: { type: 'string' } },
      { patternProperties: { '^veri': { type: 'string' } } },
      { allOf: [{ type: 'object', properties: { verison: { type: 'string' } } }] },
    ]) {
      expect(check({ ...open, ...rule }, { verison: '2' }).inputs).toEqual({ verison: '2', version: '1' });
    }
    // A nested object is as JSON Schema has it.
    const nested = { type: 'object', properties: { owner: { type: 'object', properties: {} } } };
    expect(check(nested, { owner: { name: 'x' } }).inputs).toEqual({ owner: { name: 'x' } });
  });

  it('takes more of a signal than its payload names', () => {
    const payload = { type: 'object', properties: { by: { type: 'string' } } };
    expect(validatePayload(payload, { by: 'x', more: 1 }).inputs).toEqual({ by: 'x', more: 1 });
    expect(validatePayload(payload, { by: 3 }).inputs).toBeNull();
  });

  it('returns a copy with defaults and leaves what was given alone', () => {
    const given = { path: '/tmp/x', owner: {} };
    expect(check(schema, given)).toEqual({
      inputs: { path: '/tmp/x', mode: '0644', retries: 3, owner: { name: 'root' } },
      findings: [],
    });
    expect(given).toEqual({ path: '/tmp/x', owner: {} });
  });

  it('says the same of equal schemas again, whatever was asked between', () => {
    const again = (): unknown => check(structuredClone(schema), { path: '/tmp/x' });
    const first = again();
    expect(check(structuredClone(schema), { path: 'relative' }).inputs).toBeNull();
    expect(check({ ...schema, required: ['path', 'when'] }, { path: '/tmp/x' }).inputs).toBeNull();
    for (let index = 0; index < 120; index += 1) {
      const other = { type: 'object', properties: { [`p${index}`]: { type: 'integer', default: index } } };
      expect(check(other, {}).inputs).toEqual({ [`p${index}`]: index });
    }
    expect(again()).toEqual(first);
  });

  it('says what the runbook says of an input that does not fit its pattern', () => {
    const soak = { type: 'string', pattern: '^[0-9]+d$', description: 'how long it soaks, in days' };
    const { findings } = check({ type: 'object', properties: { soak } }, { soak: '2w' });
    expect(brief(findings)).toEqual([
      'invalid-inputs inputs.soak: the input "soak" must match pattern "^[0-9]+d$" (how long it soaks, in days)',
    ]);
  });

  it('reports everything wrong at once and converts nothing', () => {
    const { inputs, findings } = check(schema, {
      pth: 1,
      mode: '0777',
      retries: '3',
      owner: [],
      when: '2026-13-01',
      port: 'x',
    });
    expect(inputs).toBeNull();
    expect(brief(findings).sort()).toEqual([
      'invalid-inputs inputs.mode: the input "mode" must be one of "0644", "0600"',
      'invalid-inputs inputs.owner: the input "owner" must be object',
      'invalid-inputs inputs.path: the input "path" is missing',
      'invalid-inputs inputs.port: the input "port" must match a schema in anyOf',
      'invalid-inputs inputs.pth: the runbook has no input "pth"; known inputs are path, mode, retries, owner, when, port -> path',
      'invalid-inputs inputs.retries: the input "retries" must be integer',
      'invalid-inputs inputs.when: the input "when" must be of the format "date" such as 2026-11-22',
    ]);
  });

  it('takes nothing but bounded JSON without keys that reach prototypes', () => {
    const open = { type: 'object' };
    const deep = JSON.parse('{"a":'.repeat(40) + '1' + '}'.repeat(40)) as unknown;
    const refused: [unknown, string][] = [
      [null, 'must be an object'],
      [[], 'must be an object'],
      ['x', 'must be an object'],
      [JSON.parse('{"__proto__": {"a": 1}}'), 'the key "__proto__" is not allowed'],
      [{ a: [{ constructor: 1 }] }, 'the key "constructor" is not allowed'],
      [deep, 'nested more than 32 levels'],
      [{ a: 'x'.repeat(70_000) }, 'larger than 64 KiB'],
      [{ a: Array(10_001).fill(1) }, 'more than 10000 values'],
      [{ a: Number.NaN }, 'not a JSON number'],
      [{ a: 1n }, 'must be JSON values'],
    ];
    for (const [inputs, message] of refused) {
      const { findings } = check(open, inputs);
      expect(brief(findings)).toEqual([expect.stringContaining(message)]);
    }
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  it('keeps patterns apart', () => {
    const two = {
      type: 'object',
      properties: { a: { type: 'string', pattern: '^a$' }, b: { type: 'string', pattern: '^b$' } },
    };
    expect(check(two, { a: 'a', b: 'b' }).findings).toEqual([]);
    expect(check(two, { a: 'b', b: 'a' }).findings).toHaveLength(2);
  });

  it('matches patterns in time linear in the text', () => {
    const evil = { type: 'object', properties: { x: { type: 'string', pattern: '^(a+)+$' } } };
    expect(check(evil, { x: 'a'.repeat(50) }).findings).toEqual([]);
    expect(check(evil, { x: `${'a'.repeat(50)}!` }).findings).toHaveLength(1);
  });
});

describe('checkInputsSchema', () => {
  it('accepts what draft 2020-12 has and Fettle can bound', () => {
    expect(checkInputsSchema(schema)).toEqual([]);
    expect(
      checkInputsSchema({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        type: 'object',
        $defs: { port: { type: 'integer', minimum: 1, maximum: 65535 } },
        properties: { ports: { type: 'array', items: { $ref: '#/$defs/port' }, uniqueItems: true } },
        patternProperties: { '^x-': true },
        if: { required: ['ports'] },
        then: { minProperties: 1 },
      }),
    ).toEqual([]);
  });

  it.each([
    [{ type: 'object', propertes: {} }, 'propertes', 'is not a keyword', 'properties'],
    [{ type: 'object', definitions: {} }, 'definitions', 'is not a keyword', '$defs'],
    [{ type: 'object', $id: 'https://x/y' }, '$id', 'not allowed', undefined],
    [{ type: 'object', $dynamicRef: '#x' }, '$dynamicRef', 'is not', undefined],
    [{ type: 'string' }, 'type', 'say "type: object"', undefined],
    [{}, 'type', 'say "type: object"', undefined],
    [{ type: 'objet' }, 'type', 'say "type: object"', undefined],
    [{ type: 'object', properties: { a: { type: 'strin' } } }, 'properties.a.type', 'must be', undefined],
    [
      { type: 'object', properties: { a: { $ref: 'https://example.org/schema' } } },
      'properties.a.$ref',
      'stay inside',
      undefined,
    ],
    [{ type: 'object', properties: { a: { $ref: '#/$defs/none' } } }, 'properties.a.$ref', 'there is no', undefined],
    [{ type: 'object', properties: { a: { $ref: '#' } } }, 'properties.a.$ref', 'comes back to itself', undefined],
    [{ type: 'object', properties: { a: { pattern: '(?=x)' } } }, 'properties.a.pattern', 'RE2', undefined],
    [
      { type: 'object', properties: { a: { pattern: 'x'.repeat(501) } } },
      'properties.a.pattern',
      'at most 500',
      undefined,
    ],
    [{ type: 'object', patternProperties: { '(a)\\1': true } }, 'patternProperties["(a)\\\\1"]', 'RE2', undefined],
    [{ type: 'object', properties: { a: { format: 'datetime' } } }, 'properties.a.format', 'not checked', 'date-time'],
    [{ type: 'object', properties: { a: 3 } }, 'properties.a', 'a schema is an object', undefined],
    [{ type: 'object', required: 'a' }, 'required', 'must be array', undefined],
    [{ type: 'object', $schema: 'http://json-schema.org/draft-07/schema#' }, '$schema', 'the dialect is', undefined],
  ])('%j', (wrong, path, message, suggestion) => {
    const [first] = checkInputsSchema(wrong);
    expect(first).toMatchObject({ code: 'invalid-inputs-schema', path });
    expect(first?.message).toContain(message);
    if (suggestion !== undefined) expect(first?.suggestion).toBe(suggestion);
  });

  it('says of a type that there is none of that name once, with the one that was meant', () => {
    const found = (type: unknown): string[] =>
      brief(checkInputsSchema({ type: 'object', properties: { a: { type } } }));
    const message = '"type" must be one of string, integer, number, boolean, array, object, null';
    expect(found('strng')).toEqual([`invalid-inputs-schema properties.a.type: ${message} -> string`]);
    expect(found(['null', 'objct'])).toEqual([`invalid-inputs-schema properties.a.type[1]: ${message} -> object`]);
    expect(found(['null', 'object'])).toEqual([]);
    expect(checkInputsSchema({ type: 'strng' }, 'payload')[0]?.message).toContain('the payload is an object');
  });

  it('refuses defaults that do not fit their own schema', () => {
    const found = (properties: Record<string, unknown>, more = {}): string[] =>
      brief(checkInputsSchema({ type: 'object', properties, ...more }));
    const at = (path: string, message: string): string[] => [
      `invalid-inputs-schema ${path}: the default of ${message}`,
    ];
    expect(found({ n: { type: 'integer', default: 'x' } })).toEqual(at('properties.n.default', '"n" must be integer'));
    expect(found({ m: { enum: ['a', 'b'], default: 'c' } })).toEqual(
      at('properties.m.default', '"m" must be one of "a", "b"'),
    );
    expect(found({ p: { type: 'string', pattern: '^/', default: 'x' } })[0]).toContain('must match pattern');
    expect(found({ d: { type: 'string', format: 'date', default: '2026-13-01' } })[0]).toContain('the format "date"');
    const owner = { type: 'object', properties: { name: { type: 'string', default: 1 } } };
    expect(found({ owner })).toEqual(at('properties.owner.properties.name.default', '"owner.name" must be string'));
    const $defs = { port: { type: 'integer', maximum: 65535 } };
    expect(found({ port: { $ref: '#/$defs/port', default: 70_000 } }, { $defs })[0]).toContain('must be <= 65535');
    // What else has to be given is nothing that a default could see to.
    expect(found({ a: { default: 1 }, b: {} }, { required: ['b'], anyOf: [{ required: ['b'] }] })).toEqual([]);
    expect(found({ a: { type: 'string', default: 'x' }, b: { type: ['string', 'null'], default: null } })).toEqual([]);
  });

  it('refuses reference bombs, cycles and deep schemas', () => {
    const bomb: Record<string, unknown> = { l0: { type: 'integer' } };
    for (let level = 1; level < 25; level += 1) {
      const $ref = `#/$defs/l${level - 1}`;
      bomb[`l${level}`] = { allOf: [{ $ref }, { $ref }] };
    }
    expect(
      checkInputsSchema({ type: 'object', $defs: bomb, properties: { a: { $ref: '#/$defs/l24' } } })[0]?.code,
    ).toBe('too-complex');
    const cycle = { a: { $ref: '#/$defs/b' }, b: { $ref: '#/%24defs/c' }, c: { $ref: '#/$defs/a' } };
    expect(checkInputsSchema({ type: 'object', $defs: cycle }).length).toBeGreaterThan(0);
    let deep: Record<string, unknown> = {};
    for (let level = 0; level < 5000; level += 1) deep = { properties: { a: deep } };
    expect(checkInputsSchema({ type: 'object', ...deep })[0]?.code).toBe('too-deep');
  });
});
