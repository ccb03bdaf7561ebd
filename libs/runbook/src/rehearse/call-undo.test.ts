import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const back = 'rollback: {uses: ssh.run, with: {argv: [back]}, retry: {maxAttempts: 1}}';
const recall = 'rollback: {uses: http.request, with: {url: "http://lb/recall"}, retry: {maxAttempts: 1}}';
const documents = (steps: string, cases: string): string => `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: leaf}
spec:
  targets: asset.kind == "server"
  steps:
    - {id: tell, uses: http.request, with: {url: "http://lb/told", effect: mutating}, ${recall}}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: called}
spec:
  targets: asset.kind == "server"
  steps:
    - {id: swap, uses: ssh.run, with: {argv: [swap]}, ${back}}
    - {id: below, call: {runbook: leaf}}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: caller}
spec:
  targets: asset.kind == "server"
  steps:
${steps}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: caller
  estate: [{name: web1}, {name: web2}]
  cases:
${cases}
`;
const check = '- {id: check, uses: http.request, with: {url: "http://lb/check"}}';

describe('the rehearsal of a rollback of calls', () => {
  it('undoes what called runs did, in reverse order, and counts it as come to', () => {
    const report = rehearseText(
      documents(
        `
    - {id: go, call: {runbook: called}}
    ${check}`,
        `
    - name: the check fails
      faults: [{step: check, kind: fail}]
      expects:
        state: failed
        rollbacks: [{step: go}]
        sequence:
          - {entry: undo-started, step: go}
          - {entry: undo-requested, runbook: called}
          - {entry: undo-started, runbook: called, step: below}
          - {entry: undo-started, runbook: leaf, step: tell}
          - {entry: undo-ended, runbook: called, step: below, state: succeeded}
          - {entry: undo-started, runbook: called, step: swap, target: web1}
          - {entry: run-undone, runbook: called}`,
      ),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(report.cases[0]?.simulation?.finish?.rollback).toEqual({ undone: ['go'], failed: [] });
    const rollbacks = report.coverage.map(({ runbook, rollbacks: share }) => [runbook, share]);
    expect(rollbacks).toEqual([
      ['called', { taken: 1, total: 1 }],
      ['caller', { taken: 0, total: 0 }],
      ['leaf', { taken: 1, total: 1 }],
    ]);
  });

  it('says what could not be undone, and undoes nothing twice', () => {
    const report = rehearseText(
      documents(
        `
    - {id: go, call: {runbook: called}, onError: continue}
    ${check}`,
        `
    - name: a host keeps what was swapped
      faults: [{step: check, kind: fail}]
      mocks: [{runbook: called, step: swap, phase: undo, target: web2, state: failed}]
      expects: {state: failed, rollbacks: [{step: go}]}
    - name: the called run has undone itself
      faults: [{step: check, kind: fail}]
      mocks: [{runbook: leaf, step: tell, state: failed}]
      expects: {state: failed}`,
      ),
    );
    expect(failuresOf(report)).toEqual([]);
    const [kept, twice] = report.cases.map(({ simulation }) => simulation!);
    expect(kept!.finish?.rollback).toEqual({ undone: [], failed: ['go'] });
    const undone = twice!.entries.filter(({ kind, target }) => kind === 'undo-started' && target === 'web1');
    expect(undone.map(({ step }) => step)).toEqual(['swap']);
  });

  it('is about the targets that failed alone, where the run went its way to the end', () => {
    const report = rehearseText(
      documents(
        `
    - {id: own, call: {runbook: called}}
    - {id: same, call: {runbook: called, targets: inherit}}
    - {id: change, uses: ssh.run, with: {argv: [change]}}`,
        `
    - name: one host fails
      faults: [{step: change, target: web2, kind: fail}]
      expects: {state: failed, error: targets-failed, rollbacks: [{step: same}]}`,
      ),
    );
    expect(failuresOf(report)).toEqual([]);
    const undone = report.cases[0]!.simulation!.entries.filter(({ kind }) => kind === 'undo-started');
    expect(undone.map(({ step, target }) => `${step} ${target}`)).toEqual(['same null', 'swap web2']);
  });
});
