import { describe, expect, it } from '@jest/globals';
import { parseDocuments } from '../document/parse-documents.js';
import { validateDocuments } from '../document/validate-documents.js';
import { failuresOf, rehearseText, testActions } from './testing.js';

const text = (oneCase: string, mocks = '[]'): string => `apiVersion: fettle/v1
kind: Runbook
metadata: {name: ship}
spec:
  targets: asset.kind == "server"
  steps:
    - {id: ask, approval: {roles: [operator]}}
    - {id: ready, wait: {signal: go}}
    - {id: poll, wait: {uses: http.request, with: {url: "http://x/"}, condition: result.status == 200}}
    - id: maybe
      choose: [{when: inputs.tell, steps: [{id: tell, uses: http.request, with: {url: "http://x/"}}]}]
    - {id: ship, uses: ssh.run, with: {argv: [ship]}}
  inputs: {type: object, properties: {tell: {type: boolean, default: false}}}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: ship}
spec:
  runbook: ship
  estate: [{name: web1}]
  mocks: ${mocks}
  cases:
    - name: one
      approvals: [{step: ask, decision: approve}]
      signals: [{name: go}]
      expects: {state: succeeded}
    - name: two
${oneCase}
`;

/** Of validation: `code path [suggestion]`. */
function findings(source: string): string[] {
  const { documents, findings: shape } = parseDocuments(source, { file: 'test.yaml' });
  return [...shape, ...validateDocuments(documents, { actions: testActions })].map(
    ({ code, path = '', suggestion }) => `${code} ${path}${suggestion === undefined ? '' : ` -> ${suggestion}`}`,
  );
}

describe('what a rehearsal says and nothing can meet', () => {
  it('is found beforehand where no step can ever meet it', () => {
    const wrong = `
      mocks: [{step: ask, state: failed}, {step: poll, output: {status: 200}}]
      faults: [{step: maybe, kind: fail}, {step: ship, kind: fail}]
      approvals: [{step: ready, decision: approve}]
      signals: [{name: goo}]
      expects: {state: failed}`;
    expect(findings(text(wrong)).sort()).toEqual([
      'no-effect spec.cases[1].approvals[0].step',
      'no-effect spec.cases[1].faults[0].step',
      'no-effect spec.cases[1].mocks[0].step',
      'no-effect spec.cases[1].signals[0].name -> go',
    ]);
  });

  it('fails the case where its run did not come by', () => {
    const idle = `
      approvals: [{step: ask, decision: approve}]
      signals: [{name: go}]
      mocks: [{step: tell, output: {status: 500}}, {step: ship, attempt: 1, output: {stdout: x}}]
      faults: [{step: ship, attempt: 2, kind: fail}, {step: ship, phase: undo, target: web1, kind: fail}]
      expects: {state: succeeded}`;
    // Mocks of the whole rehearsal are there for whichever case needs them.
    expect(failuresOf(rehearseText(text(idle, '[{step: tell, state: failed}]')))).toEqual([
      'two: spec.cases[1].faults[0]: this fault never came about: the run made no attempt that it is about ("ship", attempt 2)',
      'two: spec.cases[1].faults[1]: this fault never came about: the run made no attempt that it is about (the rollback of "ship", on web1)',
      'two: spec.cases[1].mocks[0]: this mock decided nothing: no attempt came to it ("tell")',
    ]);
  });

  it('cancels while the run waits', () => {
    const cancels = `
      approvals: [{step: ask, decision: approve}]
      faults: [{step: ready, kind: cancel}]
      expects: {state: cancelled, steps: [ask, ready]}
    - name: three
      faults: [{step: ask, kind: cancel}]
      expects: {state: cancelled, steps: [ask], absent: [ready]}`;
    expect(failuresOf(rehearseText(text(cancels)))).toEqual([]);
  });
});
