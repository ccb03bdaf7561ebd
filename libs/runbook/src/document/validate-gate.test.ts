import { describe, expect, it } from '@jest/globals';
import { testActions } from '../rehearse/testing.js';
import { formatFinding } from './format-finding.js';
import { parseDocuments } from './parse-documents.js';
import { validateDocuments } from './validate-documents.js';

function findings(gate: string, waves = `[1, '100%']`): string[] {
  const source = `apiVersion: fettle/v1
kind: Runbook
metadata: { name: a }
spec:
  targets: asset.kind == "server"
  inputs: { type: object, properties: { url: { type: string } }, additionalProperties: false }
  rollout:
    waves: ${waves}
    gate: ${gate}
  steps: [{ id: one, uses: ssh.run, with: { argv: [x] } }]
`;
  const parsed = parseDocuments(source, { file: 'f.yaml' });
  const all = [...parsed.findings, ...validateDocuments(parsed.documents, { actions: testActions })];
  return all.map((found) => formatFinding(found).split('\n')[0]!);
}

describe('the gate between waves', () => {
  it.each([
    `{ require: run.counts.failed == 0 }`,
    `{ uses: http.request, with: { url: '\${{ inputs.url }}' }, condition: result.status == 200 }`,
    `{ require: 'run.counts.failed < 2', uses: http.request, with: { url: x }, condition: 'true', every: 1s, timeout: 1m, consecutive: 3 }`,
  ])('is fine: %s', (gate) => {
    expect(findings(gate)).toEqual([]);
  });

  it('must not look for longer than the run may take', () => {
    const gate = `{ uses: http.request, with: { url: x }, condition: 'true', timeout: 100h }`;
    expect(findings(gate)).toEqual([expect.stringContaining('the gate may look for 360000 s')]);
  });

  it.each([
    [`{}`, '9:11', 'nothing has to hold'],
    [`{ every: 1s }`, '9:11', 'nothing has to hold'],
    [`{ uses: http.request, with: { url: x } }`, '9:11', '"condition" is missing'],
    [`{ condition: result.status == 200 }`, '9:24', '"condition" belongs to an action'],
    [`{ require: 'true', with: { url: x } }`, '9:36', '"with" belongs to an action'],
    [`{ require: asset.name == "x" }`, '9:22', 'asset'],
    [`{ require: steps.one.exitCode == 0 }`, '9:22', 'one'],
    [`{ uses: http.request, with: { url: x }, condition: run.counts.failed == 0 }`, '9:62', 'read of "result"'],
    [
      `{ uses: http.request, with: { url: x }, condition: result.stats == 200 }`,
      '9:62',
      'the result has no member "stats"',
    ],
    [`{ uses: http.request, with: { uri: x }, condition: 'true' }`, '9:33', '"url" is missing'],
    [`{ uses: http.reqest, with: { url: x }, condition: 'true' }`, '9:19', 'not a known action'],
    [`{ uses: ssh.run, with: { argv: [x] }, condition: 'true' }`, '9:19', 'a gate repeats an action of control scope'],
    [
      `{ uses: http.request, with: { url: x, effect: mutating }, condition: 'true' }`,
      '9:19',
      'it changes something each time',
    ],
    [`{ require: 'true', consecutive: 0 }`, '9:43', '1'],
    [`{ requires: 'true' }`, '9:13', 'requires'],
  ])('%s', (gate, place, message) => {
    const found = findings(gate);
    expect(found[0]).toContain(`f.yaml:${place}`);
    expect(found[0]).toContain(message);
  });

  it('has no effect without waves', () => {
    expect(findings(`{ require: 'true' }`, `['100%']`)).toEqual([
      expect.stringContaining('"gate" has no effect without several waves'),
    ]);
  });
});
