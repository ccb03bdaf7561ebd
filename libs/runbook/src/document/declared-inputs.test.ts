import { describe, expect, it } from '@jest/globals';
import { declaredInputs } from './declared-inputs.js';
import { checkInputsSchema, validateInputs } from './validate-inputs.js';

const schema = {
  type: 'object',
  required: ['host'],
  additionalProperties: false,
  properties: {
    host: { type: 'string', 'x-fettle-query': 'asset.kind == "server"', description: 'where' },
    replicas: { type: 'array', items: { type: 'string', 'x-fettle-query': 'asset.labels.role == "db"' }, default: [] },
    password: { type: 'string', 'x-fettle-secret': true, enum: ['db-admin', 'db-reader'] },
    days: { type: 'array', items: { enum: ['mon', 'tue'] } },
    when: { type: 'string', format: 'date' },
  },
};

const problems = (property: unknown): string[] =>
  checkInputsSchema({ type: 'object', properties: { x: property } }).map(({ path, message }) => `${path}: ${message}`);

describe('declared inputs', () => {
  it('are read from a schema that validation accepts', () => {
    expect(checkInputsSchema(schema)).toEqual([]);
    expect(declaredInputs(schema)).toMatchObject([
      { name: 'host', isRequired: true, isList: false, query: 'asset.kind == "server"', description: 'where' },
      { name: 'replicas', isRequired: false, isList: true, query: 'asset.labels.role == "db"', default: [] },
      { name: 'password', isSecret: true, query: null, allowed: ['db-admin', 'db-reader'] },
      { name: 'days', isList: true, isSecret: false, allowed: ['mon', 'tue'] },
      { name: 'when', types: ['string'], allowed: null },
    ]);
  });

  it.each([
    [
      { type: 'string', 'x-fettle-query': 'asset.kind = "server"' },
      /^properties\.x\.x-fettle-query: "x-fettle-query": /,
    ],
    [{ type: 'string', 'x-fettle-query': 5 }, /selector over assets, as text/],
    [{ type: 'array', 'x-fettle-query': 'true' }, /say "type: string"/],
    [{ type: 'string', 'x-fettle-secret': false }, /is true, or is left out/],
    [{ type: 'integer', 'x-fettle-secret': true }, /"type: string"/],
    [{ type: 'string', 'x-fettle-secret': true, 'x-fettle-query': 'true' }, /names an asset .* or a credential/],
    [{ type: 'array', items: { type: 'string', 'x-fettle-secret': true } }, /stands at an input itself/],
    [{ type: 'object', properties: { y: { type: 'string', 'x-fettle-query': 'true' } } }, /properties\.<name>/],
    [{ type: 'string', 'x-fettle-sekret': true }, /is not a keyword/],
  ])('refuses %j', (property, message) => {
    const found = problems(property);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  it('never repeats what is given for a secret and is no name', () => {
    const open = { type: 'object', properties: { password: { type: 'string', 'x-fettle-secret': true } } };
    for (const given of ['Tr0ub4dor&3', '-----BEGIN PRIVATE KEY-----\nMC4C', 'x'.repeat(64)]) {
      const { inputs, findings } = validateInputs({ inputs: open }, { password: given });
      expect(inputs).toBeNull();
      expect(findings).toMatchObject([{ code: 'invalid-inputs', path: 'inputs.password' }]);
      expect(JSON.stringify(findings)).not.toContain(given.slice(0, 8));
    }
    expect(validateInputs({ inputs: open }, { password: 'db-admin' }).findings).toEqual([]);
    expect(validateInputs({ inputs: schema }, { host: 'a', password: 'Tr0ub4dor' }).findings).toMatchObject([
      { message: 'the input "password" must be one of "db-admin", "db-reader"' },
    ]);
  });
});
