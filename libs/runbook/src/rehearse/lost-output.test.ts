import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const rehearsed = (effect: string, expected: string): readonly string[] =>
  failuresOf(
    rehearseText(`
apiVersion: fettle/v1
kind: Runbook
metadata: {name: ordering}
spec:
  steps:
    - id: order
      uses: http.request
      with: {url: "http://shop/order", effect: ${effect}}
      outputs: {number: int(result.body)}
      retry: {maxAttempts: 3, backoff: 1s}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: ordering
  cases:
    - name: no number
      mocks: [{step: order, output: {status: 200, body: none, truncated: false}}]
      expects: {state: failed, ${expected}}
`),
  );

describe('a rehearsed step of the run itself whose output cannot be kept', () => {
  it('is tried again only where that does no harm', () => {
    const once = rehearsed('mutating', 'absent: [{step: order, attempt: 2}]');
    const thrice = rehearsed('read-only', 'sequence: [{step: order, attempt: 3, state: failed}]');
    expect([once, thrice]).toEqual([[], []]);
  });
});
