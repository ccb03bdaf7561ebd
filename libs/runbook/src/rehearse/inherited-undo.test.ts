import { describe, expect, it } from '@jest/globals';
import { defineAction } from '@fettle/contracts';
import { z } from 'zod';
import { parseDocuments } from '../document/parse-documents.js';
import { validateDocuments } from '../document/validate-documents.js';
import { lintDocuments } from '../lint/lint-documents.js';
import { rehearse } from './rehearse.js';
import { failuresOf, testActions } from './testing.js';

const common = { version: 1, scope: 'target', defaultTimeoutMs: 60_000, maxTimeoutMs: 600_000 } as const;
const rest = { ...common, secretInputs: [], probe: null, render: () => ({ argv: [], files: [], calls: [] }) };
const pathInput = z.strictObject({ path: z.string(), keep: z.boolean().default(true) });
const actions = {
  ...testActions,
  'file.put': defineAction({
    ...rest,
    name: 'file.put',
    summary: 'Puts.',
    input: pathInput,
    output: z.object({}),
    effect: () => 'mutating',
    compensation: {
      summary: 'puts the former file back',
      uses: 'file.restore',
      input: ({ path, keep }) => (keep ? { path: `${path}.former` } : null),
    },
  }),
  'file.restore': defineAction({
    ...rest,
    name: 'file.restore',
    summary: 'Restores.',
    input: z.strictObject({ path: z.string() }),
    output: z.object({}),
    effect: () => 'idempotent',
    compensation: null,
    onlyUndoes: true,
  }),
};

const documents = (steps: string, cases: string): string => `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: files}
spec:
  targets: asset.kind == "server"
  steps:
${steps}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: files
  estate: [{name: web1}]
  cases:
${cases}
`;
const read = (text: string) => {
  const { documents: parsed, findings } = parseDocuments(text, { file: 'test.yaml' });
  const all = [...findings, ...validateDocuments(parsed, { actions })];
  return { parsed, codes: all.filter(({ severity }) => severity === 'error').map(({ code }) => code) };
};

describe('the undo that an action brings with it', () => {
  const steps = `
    - {id: put, uses: file.put, timeout: 10s, with: {path: "/etc/\${{ asset.name }}"}}
    - {id: lasting, uses: file.put, timeout: 10s, with: {path: /etc/b, keep: false}}
    - {id: own, uses: file.put, timeout: 10s, with: {path: /etc/c}, rollback: {uses: ssh.run, with: {argv: [back]}}}
    - {id: none, uses: file.put, timeout: 10s, with: {path: /etc/d}, rollback: {none: it is wanted}}
    - {id: fail, uses: ssh.run, timeout: 10s, with: {argv: [x], effect: read-only}}`;

  it('is rehearsed with the input that the contract makes, tried again, and covered', () => {
    const { parsed, codes } = read(
      documents(
        steps,
        `
    - name: it fails
      faults: [{step: fail, kind: fail}]
      mocks:
        - {step: put, phase: undo, attempt: 1, state: failed}
      expects:
        state: failed
        rollbacks: [{step: own, target: web1}, {step: lasting, target: web1}, {step: put, target: web1}, {step: put, target: web1}]
        sequence:
          - {entry: undo-ended, step: own, state: succeeded}
          - {entry: undo-ended, step: lasting, state: skipped}
          - {entry: undo-ended, step: put, state: failed}
          - {entry: undo-ended, step: put, state: succeeded}
          - {entry: target-rolled-back, state: undone}`,
      ),
    );
    expect(codes).toEqual([]);
    const report = rehearse(parsed, { actions });
    expect(failuresOf(report)).toEqual([]);
    expect(report.coverage[0]?.rollbacks).toEqual({ taken: 3, total: 3 });
    const lint = lintDocuments(parsed, { actions }).filter(({ code }) => code === 'mutating-without-rollback');
    expect(lint).toEqual([]);
  });

  it('is no step by itself', () => {
    const { codes } = read(documents(`    - {id: back, uses: file.restore, with: {path: /etc/a}}`, '    []'));
    expect(codes).toContain('only-undoes');
  });
});
