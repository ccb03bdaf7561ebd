import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const documents = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: rolling}
spec:
  targets: asset.kind == "server"
  rollout:
    waves: [1, 2, "100%"]
    gate: {uses: http.request, with: {url: "http://health"}, condition: result.status == 200, every: 10s, timeout: 1m}
  rollback: all
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
        within: 90s
`;

describe('a rehearsal of a gate between waves', () => {
  it('mocks what it looks at, by the wave that it comes after', () => {
    expect(failuresOf(rehearseText(documents))).toEqual([]);
  });
});
