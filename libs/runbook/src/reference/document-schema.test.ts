import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseDocuments } from '../document/parse-documents.js';
import { findingsOf, runbookText, short, testActions } from '../document/testing.js';
import { documentSchema, sectionProperties } from './document-schema.js';
import { fieldSections } from './field-descriptions.js';
import { findingCodes } from './finding-codes.js';

const folder = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const schema = documentSchema(testActions);
// Formats are for editors; Fettle itself checks them better.
const validate = new Ajv2020({
  strict: true,
  allowUnionTypes: true,
  strictRequired: false,
  strictTypes: false,
  validateFormats: false,
}).compile(schema);

/** Whether the JSON Schema takes the first document of a text. */
function takes(text: string): boolean {
  return validate(parseDocuments(text, { file: 'f.yaml' }).documents[0]?.value);
}

describe('the JSON Schema for editors', () => {
  it('takes what Fettle takes', () => {
    for (const name of ['every-step.yaml', 'make-file.yaml', 'rolling-restart.yaml']) {
      const text = readFileSync(`${folder('fixtures')}/${name}`, 'utf8');
      expect(findingsOf(text).filter(({ severity }) => severity === 'error')).toEqual([]);
      takes(text);
      expect(validate.errors ?? []).toEqual([]);
    }
    expect(
      takes('apiVersion: fettle/v1\nkind: Schedule\nmetadata: { name: a }\nspec: { runbook: b, cron: "0 1 * * *" }'),
    ).toBe(true);
    expect(
      takes(
        runbookText(
          '- { id: a, uses: ssh.run, with: { argv: "${{ inputs.argv }}", successCodes: ["${{ 1 }}"], effect: "${{ inputs.e }}" } }',
        ),
      ),
    ).toBe(true);
  });

  it.each([
    '- { id: a, uses: ssh.rum }',
    '- { id: a, uses: ssh.run }',
    '- { id: a, uses: ssh.run, with: { argv: [x], argz: 1 } }',
    '- { id: a, uses: ssh.run, with: { argv: [x], effect: readonly } }',
    '- { id: a, wait: { uses: ssh.run, with: { argv: [x] }, condition: "true" } }',
    '- { id: a, wait: { condition: "true" } }',
    '- { id: a, forEach: { items: [1], as: n, steps: [{ id: b, uses: http.request, with: { ur: "https://x/" } }] } }',
    '- { id: a, choose: [{ steps: [] }] }',
    '- { id: a, try: [T(b)], catch: [{ id: c }] }',
    '- { id: a, approval: { roles: [king] } }',
    '- { id: a, uses: ssh.run, with: { argv: [x] }, rollback: { uses: ssh.run } }',
    '- { id: a, try: [T(b)], wait: { duration: 5s } }',
  ])('refuses %s, as Fettle does', (steps) => {
    const text = runbookText(short(steps));
    expect(findingsOf(text).filter(({ severity }) => severity === 'error')).not.toEqual([]);
    expect(takes(text)).toBe(false);
  });

  it('says of every field what it means, and of no other', () => {
    const places = sectionProperties(schema['$defs'] as Readonly<Record<string, unknown>>);
    for (const [name, section] of Object.entries(fieldSections)) {
      const fields = places[name as keyof typeof places].flatMap((properties) => Object.keys(properties));
      expect({ name, fields: [...new Set(fields)].sort() }).toEqual({
        name,
        fields: Object.keys(section.fields).sort(),
      });
    }
  });

  it('has examples that are valid', () => {
    const inputs =
      'inputs: { type: object, properties: { sites: { type: array }, site: {}, service: {}, mode: {}, text: {} } }';
    const examples = Object.values(fieldSections).flatMap((section) => ('example' in section ? [section.example] : []));
    expect(examples.length).toBeGreaterThan(7);
    for (const example of examples) {
      // The tests know two actions; what the examples use besides is looked at by the tests of all actions.
      const findings = findingsOf(runbookText(example, inputs)).filter(
        ({ code, severity }) => severity === 'error' && code !== 'unknown-action' && code !== 'unknown-field',
      );
      expect({ example, findings }).toEqual({ example, findings: [] });
    }
  });
});

describe('the table of findings', () => {
  it('has every code that is given anywhere, and no other', () => {
    const files = readdirSync(folder('document')).filter(
      (name) => name.endsWith('.ts') && !/\.test\.ts$|^testing\.ts$/.test(name),
    );
    const source = files.map((name) => readFileSync(`${folder('document')}/${name}`, 'utf8')).join('\n');
    const given = new Set(source.match(/(?<=')[a-z]+(?:-[a-z]+)+(?=')/g) ?? []);
    const known = Object.keys(findingCodes);
    // Those of expressions, cron texts and zones are given by the rooms that read them.
    const elsewhere = ['invalid-schedule', 'invalid-time-zone', 'limit-exceeded'];
    expect(known.filter((code) => !given.has(code) && !elsewhere.includes(code))).toEqual([]);
    const others = [
      'date-time',
      'json-pointer',
      'uri-reference',
      'read-only',
      'limit-exceeded',
      'x-fettle-query',
      'x-fettle-secret',
      'deadline-missed',
    ];
    expect([...given].filter((code) => !known.includes(code) && !others.includes(code))).toEqual([]);
  });
});
