import { describe, expect, it } from '@jest/globals';
import { simulate } from './simulate.js';
import type { Script, ScriptedEnd } from './script.js';
import { failuresOf, readDocuments, rehearseText, testActions } from './testing.js';

const runbook = (more = '', retry = '{maxAttempts: 2, backoff: 1s}'): string => `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: guarded}
spec:
  targets: asset.kind == "server"
  ${more}
  steps:
    - {id: before, uses: ssh.run, with: {argv: [before]}}
    - id: guard
      try:
        - {id: enter, uses: ssh.run, with: {argv: [enter]}, rollback: {uses: ssh.run, with: {argv: [leave]}}}
        - {id: work, uses: ssh.run, with: {argv: [work]}, if: 'asset.name != "web2"'}
        - {id: never, uses: ssh.run, with: {argv: [never]}}
      catch:
        - {id: caught, uses: ssh.run, with: {argv: [caught]}}
      finally:
        - {id: clean, uses: ssh.run, with: {argv: [clean]}, retry: ${retry}}
        - {id: clean2, uses: ssh.run, with: {argv: [clean2]}}
    - {id: after, uses: ssh.run, with: {argv: [after]}}
`;
const rehearsal = (cases: string): string => `---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: guarded
  estate: [{name: web1}, {name: web2}, {name: web3}]
  cases:
${cases}
`;

describe('a rehearsal of a cancel in the middle of a try', () => {
  it('goes through the finally, past the catch, and undoes what is to be undone after that', () => {
    const cases = `
    - name: cancelled
      faults: [{step: work, target: web1, kind: cancel}]
      expects:
        state: cancelled
        targets: {web1: cancelled, web2: cancelled, web3: cancelled}
        sequence:
          - {entry: cancel-requested}
          - {step: work, target: web1, entry: step-ended, state: cancelled}
          - {step: clean2, target: web1, entry: step-ended, state: succeeded}
          - {entry: undo-started, step: enter, target: web1}
          - {entry: run-ended}
        absent: [caught, never, after, {entry: finally-not-run}]
    - name: cancelled, and what cleans up cannot reach one host, and fails on another once
      faults:
        - {step: work, target: web1, kind: cancel}
        - {step: clean, target: web3, kind: unreachable}
        - {step: clean, target: web2, kind: fail, attempt: 1}
      expects:
        state: cancelled
        targets: {web1: cancelled, web2: cancelled, web3: unreachable}
        sequence:
          - {entry: finally-not-run, target: web3}
          - {entry: target-ended, target: web3}
    - name: cancelled in its finally
      faults: [{step: clean, target: web1, kind: cancel}]
      expects:
        state: cancelled
        targets: {web1: cancelled, web2: cancelled, web3: cancelled}
        sequence:
          - {entry: cancel-requested}
          - {step: clean, target: web1, entry: step-ended, state: succeeded}
          - {step: clean2, target: web1, entry: step-ended, state: succeeded}
        absent: [after]
    - name: cancelled before the try
      faults: [{step: before, target: web1, kind: cancel}]
      expects:
        state: cancelled
        absent: [enter, clean, clean2]
    - name: out of reach without a cancel
      faults: [{step: work, target: web1, kind: unreachable}]
      expects:
        state: failed
        targets: {web1: unreachable, web2: succeeded, web3: succeeded}
        sequence: [{entry: finally-not-run, target: web1}]`;
    expect(failuresOf(rehearseText(runbook() + rehearsal(cases)))).toEqual([]);
  });

  it('goes there with the targets of the wave, however many fail, and one after the other', () => {
    const cases = `
    - name: cancelled in the second wave
      faults: [{step: work, target: web3, kind: cancel}]
      expects:
        state: cancelled
        targets: {web1: succeeded, web2: cancelled, web3: cancelled}
        sequence:
          - {step: clean2, target: web3, entry: step-ended, state: succeeded}
          - {step: clean2, target: web2, entry: step-ended, state: succeeded}
          - {entry: run-ended}`;
    const rollout = 'rollout: {waves: [1, "100%"], maxConcurrency: 1, maxFailures: 0, strict: true}';
    expect(failuresOf(rehearseText(runbook(rollout) + rehearsal(cases)))).toEqual([]);
  });
});

const well: ScriptedEnd = { takesMs: 1000, state: 'succeeded', exitCode: 0, error: null, result: { exitCode: 0 } };

describe('a finally after a cancel that takes too long', () => {
  it('is ended after its time where it is, and what is left of it is said', () => {
    const [document] = readDocuments(runbook('', '{maxAttempts: 20, backoff: 30s, maxBackoff: 30s}'));
    if (document?.document?.kind !== 'Runbook') throw new Error('no runbook');
    const script: Script = {
      attempt: ({ id, target }) => {
        if (id === 'work' && target === 'web1') return { ...well, fault: 'cancel' };
        if (id === 'clean' && target === 'web1') return { ...well, takesMs: 10, state: 'unreachable' };
        // In flight when the time is over: nothing of it comes to its end within a minute.
        if (id === 'clean' && target === 'web3') return { ...well, takesMs: 100_000 };
        return well;
      },
      decisions: () => [],
      signals: [],
    };
    const estate = ['web1', 'web2', 'web3'].map((name) => ({
      ...{ name, kind: 'server', lifecycle: 'active', labels: {}, facts: {}, quarantined: false },
    }));
    const { entries, finish, targets, durationMs } = simulate({
      ...{
        runbook: 'guarded',
        spec: document.document.spec,
        inputs: {},
        estate,
        actions: testActions,
        script,
        seed: 1,
      },
      startAtMs: 0,
    });
    expect(finish?.state).toBe('cancelled');
    expect(durationMs).toBeGreaterThan(300_000);
    expect(durationMs).toBeLessThan(310_000);
    expect(targets).toEqual({ web1: 'cancelled', web2: 'cancelled', web3: 'cancelled' });
    const told = entries.filter(({ kind }) => kind === 'finally-not-run');
    expect(Object.fromEntries(told.map(({ target, data }) => [target, data['left']]))).toEqual({
      web1: ['clean', 'clean2'],
      web3: ['clean2'],
    });
    // Each target ended once, after that.
    expect(
      entries
        .filter(({ kind }) => kind === 'target-ended')
        .map(({ target }) => target)
        .sort(),
    ).toEqual(['web1', 'web2', 'web3']);
  });
});
