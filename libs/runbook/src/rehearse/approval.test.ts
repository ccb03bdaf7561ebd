import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const documents = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: asking}
spec:
  steps:
    - id: ask
      approval: {roles: [operator], expires: 4h, escalate: {after: 1h, roles: [admin]}}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: asking
  cases:
    - name: decided at once
      approvals: [{step: ask, decision: approve, after: 10m}]
      expects:
        state: succeeded
        absent: [{entry: approval-escalated}]
    - name: decided by those who were asked later
      approvals: [{step: ask, decision: approve, by: ada, after: 2h}]
      expects:
        state: succeeded
        sequence:
          - {entry: approval-asked, step: ask}
          - {entry: approval-escalated, step: ask}
          - {entry: approval-decided, step: ask}
    - name: decided by nobody
      expects:
        state: failed
        error: approval-expired
        sequence:
          - {entry: approval-escalated}
          - {entry: approval-expired}
    - name: decided too late
      approvals: [{step: ask, decision: approve, after: 5h}]
      expects: {state: failed, error: approval-expired}
`;

describe('an approval in a rehearsal', () => {
  it('is asked of others after a while, and expires', () => {
    expect(failuresOf(rehearseText(documents))).toEqual([]);
  });
});
