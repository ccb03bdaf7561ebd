import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const documents = (steps: string, cases: string): string => `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: chain}
spec:
  targets: asset.kind == "server"
  steps:
${steps}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: chain
  estate: [{name: web1}, {name: web2}]
  cases:
${cases}
`;
const undone = 'rollback: {uses: ssh.run, with: {argv: [back]}, retry: {maxAttempts: 1}}';

/** What became of the rollback, one segment after the other, by target. */
function rollbacks(report: ReturnType<typeof rehearseText>): readonly string[] {
  const entries = report.cases[0]?.simulation?.entries ?? [];
  return entries
    .filter(({ kind }) => kind === 'target-rolled-back')
    .map(({ target, data }) => `${target} ${JSON.stringify(data)}`)
    .sort();
}

describe('a target of which something could not be undone', () => {
  it('keeps what earlier segments did to it, which is reported, and the others are undone', () => {
    const steps = `
    - {id: keep, uses: ssh.run, with: {argv: [copy]}, ${undone}}
    - {id: tell, uses: http.request, with: {url: "http://lb/told"}}
    - {id: swap, uses: ssh.run, with: {argv: [swap]}, ${undone}}
    - {id: check, uses: ssh.run, with: {argv: [check], effect: read-only}}`;
    const report = rehearseText(
      documents(
        steps,
        `
    - name: the disk is full
      faults: [{step: check, kind: fail}]
      mocks: [{step: swap, phase: undo, target: web1, state: failed}]
      expects:
        state: failed
        rollbacks: [{step: swap, target: web1}, {step: swap, target: web2}, {step: keep, target: web2}]`,
      ),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(rollbacks(report)).toEqual([
      'web1 {"state":"incomplete","left":["keep"]}',
      'web1 {"state":"incomplete","left":["swap"]}',
      'web2 {"state":"undone","left":[]}',
      'web2 {"state":"undone","left":[]}',
    ]);
    const end = report.cases[0]?.simulation?.entries.at(-1);
    expect(end?.data['rollback']).toEqual({ undone: [], failed: ['swap', 'keep'] });
  });

  it('keeps what stands before a step that nobody knows of, although that has no undo', () => {
    const steps = `
    - {id: keep, uses: ssh.run, with: {argv: [copy]}, ${undone}}
    - {id: swap, uses: ssh.run, with: {argv: [swap]}, rollback: {none: it is swapped for good}}`;
    const report = rehearseText(
      documents(
        steps,
        `
    - name: the worker is lost while it swaps
      faults: [{step: swap, target: web1, kind: crash}, {step: swap, target: web2, kind: fail}]
      expects:
        state: failed
        targets: {web1: unknown, web2: failed}
        rollbacks: [{step: keep, target: web2}]`,
      ),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(rollbacks(report)).toEqual([
      'web1 {"state":"incomplete","left":["swap","keep"]}',
      'web2 {"state":"undone","left":[]}',
    ]);
  });

  it('keeps what stands before a later segment without any undo, of which nobody knows', () => {
    const steps = `
    - {id: keep, uses: ssh.run, with: {argv: [copy]}, ${undone}}
    - {id: tell, uses: http.request, with: {url: "http://lb/told"}}
    - {id: swap, uses: ssh.run, with: {argv: [swap]}}`;
    const report = rehearseText(
      documents(
        steps,
        `
    - name: the worker is lost while it swaps
      faults: [{step: swap, target: web1, kind: crash}, {step: swap, target: web2, kind: fail}]
      expects:
        state: failed
        targets: {web1: unknown, web2: failed}
        rollbacks: [{step: keep, target: web2}]`,
      ),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(rollbacks(report)).toEqual([
      'web1 {"state":"incomplete","left":["keep"]}',
      'web2 {"state":"undone","left":[]}',
    ]);
  });
});
