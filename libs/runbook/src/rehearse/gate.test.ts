import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const documentsOf = (onFailure: string, rollback: string, cases: string): string => `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: rolling}
spec:
  targets: asset.kind == "server"
  rollout:
    waves: [1, 2, "100%"]
    gate: {uses: http.request, with: {url: "http://health"}, condition: result.status == 200, every: 10s, timeout: 1m${onFailure}}
  rollback: ${rollback}
  steps:
    - {id: restart, uses: ssh.run, with: {argv: [restart]}, rollback: {uses: ssh.run, with: {argv: [back]}}}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: rolling
  estate: [{name: web1}, {name: web2}, {name: web3}]
  cases:
${cases}
`;

const documents = documentsOf(
  '',
  'all',
  `
    - name: well after a while
      mocks: [{step: "restart#gate1", attempt: 1, output: {status: 503}}]
      expects:
        state: succeeded
        steps: [restart]
        sequence:
          - {step: restart, target: web1, entry: step-ended}
          - {step: "restart#gate1", attempt: 2, entry: step-ended}
          - {entry: gate-passed, step: "*#gate1"}
          - {step: restart, target: web2, entry: step-started}
          - {entry: gate-passed, step: "restart#gate2"}
    - name: bad after the second wave
      mocks: [{step: "restart#gate2", output: {status: 503}}]
      expects:
        state: failed
        error: gate-closed
        targets: {web1: succeeded, web2: succeeded, web3: cancelled}
        sequence:
          - {entry: gate-closed, step: "restart#gate2"}
        absent:
          - {entry: step-started, target: web3}
        rollbacks: [{step: restart, target: web1}, {step: restart, target: web2}]
        within: 90s`,
);

describe('a rehearsal of a gate between waves', () => {
  it('mocks what it looks at, by the wave that it comes after', () => {
    expect(failuresOf(rehearseText(documents))).toEqual([]);
  });

  const closed = "mocks: [{step: 'restart#gate1', output: {status: 503}}]";

  it('only tells of it where the runbook goes on', () => {
    const cases = `
    - name: ill
      ${closed}
      expects:
        state: succeeded
        sequence: [{entry: gate-closed, step: 'restart#gate1'}, {entry: gate-passed, step: 'restart#gate2'}]`;
    expect(failuresOf(rehearseText(documentsOf(', onFailure: continue', 'unfinished', cases)))).toEqual([]);
  });

  it('undoes what came through where the runbook wants that, and not otherwise', () => {
    const cases = (rollbacks: string): string => `
    - name: ill
      ${closed}
      expects: {state: failed, error: gate-closed, targets: {web1: succeeded}, rollbacks: ${rollbacks}}`;
    const all = cases('[{step: restart, target: web1}]');
    expect(failuresOf(rehearseText(documentsOf(', onFailure: rollback', 'unfinished', all)))).toEqual([]);
    expect(failuresOf(rehearseText(documentsOf(', onFailure: stop', 'unfinished', cases('[]'))))).toEqual([]);
    expect(failuresOf(rehearseText(documentsOf(', onFailure: rollback', 'nothing', cases('[]'))))).toEqual([]);
  });

  it('is something that a rehearsal has to come to', () => {
    const report = rehearseText(
      documentsOf(
        '',
        'all',
        `
    - name: it fails before
      faults: [{step: restart, kind: fail}]
      estate: [{name: web1}]
      expects: {state: failed}`,
      ),
    );
    const gate = report.coverage[0]!.points.filter(({ kind }) => kind === 'gate');
    expect(gate).toEqual([{ kind: 'gate', step: 'rollout', path: ['spec', 'rollout', 'gate'], isTaken: false }]);
    const taken = rehearseText(documents).coverage[0]!;
    expect(taken.points.find(({ kind }) => kind === 'gate')?.isTaken).toBe(true);
    expect(taken.steps).toEqual({ taken: 2, total: 2 });
  });
});
