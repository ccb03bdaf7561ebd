import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const estate = `
  estate:
    - {name: web1, labels: {env: prod}}
    - {name: web2, labels: {env: prod}}
    - {name: web3, labels: {env: test}}
    - {name: lost, lifecycle: retired}`;

const rolling = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: rolling}
spec:
  targets: asset.kind == "server"
  rollout: {waves: [1, "100%"], maxFailures: 0, soak: 1m}
  steps:
    - {id: drain, uses: ssh.run, with: {argv: [drain, "\${{ asset.name }}"]}, retry: {maxAttempts: 2, backoff: 10s}}
    - {id: restart, uses: ssh.run, if: 'asset.labels.env == "prod"', with: {argv: [restart]}}
    - {id: tell, uses: http.request, with: {url: "http://x/\${{ run.counts.succeeded }}"}, outputs: {code: result.status}}
  outputs: {code: steps.tell.code}
  summary: "told \${{ steps.tell.code }}"
---
`;

const rehearsal = (cases: string, runbook = 'rolling'): string => `apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: ${runbook}${estate}
  cases:
${cases}`;

describe('rehearsals of a rollout', () => {
  it('goes through waves, skips and outputs as expected', () => {
    const report = rehearseText(
      rolling +
        rehearsal(`
    - name: all is well
      mocks:
        - {step: tell, output: {status: 202}}
      expects:
        state: succeeded
        targets: {web1: succeeded, web2: succeeded, web3: succeeded}
        outputs: {code: 202}
        summary: told 202
        steps: [drain, restart, tell]
        sequence:
          - {entry: wave-started, step: drain}
          - {step: drain, target: web1, entry: step-ended, state: succeeded}
          - {entry: wave-ended}
          - {step: drain, target: web3, entry: step-started}
          - tell
        absent:
          - {entry: step-started, step: drain, target: lost}
        within: 2m`),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(report.cases[0]?.simulation?.durationMs).toBeGreaterThan(60_000);
    expect(report.coverage).toMatchObject([{ runbook: 'rolling', steps: { taken: 3, total: 3 } }]);
  });

  it('tells what is not as expected, with places', () => {
    const report = rehearseText(
      rolling +
        rehearsal(`
    - name: wrong
      expects:
        state: failed
        error: failure-limit
        targets: {web1: failed}
        outputs: {code: 1}
        summary: nothing
        steps: [drain, tell]
        sequence: [tell, drain]
        absent: [restart]
        approvals: [drain]
        within: 1s`),
    );
    expect(failuresOf(report).map((line) => line.replace(/^wrong: /, ''))).toEqual([
      'spec.cases[0].expects.state: the run ended as succeeded, not as failed',
      'spec.cases[0].expects.error: the run ended without an error, not with failure-limit',
      'spec.cases[0].expects.outputs.code: the output "code" is 200, not 1',
      'spec.cases[0].expects.summary: the summary is "told 200"',
      expect.stringMatching(/within: the run took 6\d\.?\d* s of simulated time, more than 1 s$/),
      'spec.cases[0].expects.targets.web1: web1 ended as succeeded, not as failed',
      'spec.cases[0].expects.sequence[1]: there is no start of step drain after those before it; there is one before them',
      expect.stringMatching(/absent\[0\]: there is start of step restart: entry \d+$/),
      'spec.cases[0].expects.steps[1]: the steps that were started are drain, restart, tell',
      'spec.cases[0].expects.approvals[0]: the approvals that were asked for are none',
    ]);
    const [first] = report.cases[0]!.failures;
    expect(first?.position).toMatchObject({ file: 'test.yaml', line: expect.any(Number), column: expect.any(Number) });
  });

  it('injects faults: failures, time-outs, crashes, unreachable hosts, cancels', () => {
    const report = rehearseText(
      rolling +
        rehearsal(`
    - name: the first wave fails
      faults: [{step: restart, target: web1, kind: fail}]
      expects:
        state: failed
        error: failure-limit
        targets: {web1: failed, web2: cancelled, web3: cancelled}
        sequence: [{entry: step-ended, step: restart, error: fault-injected}, {entry: run-ended}]
        absent: [tell, {entry: step-started, target: web2}]
    - name: a second attempt helps
      faults: [{step: drain, target: web2, attempt: 1, kind: unreachable}]
      expects:
        state: succeeded
        sequence: [{entry: step-started, step: drain, target: web2, attempt: 2}]
    - name: too slow
      faults: [{step: restart, target: web2, kind: time-out}]
      expects:
        state: failed
        targets: {web2: failed}
        sequence: [{entry: step-ended, step: restart, target: web2, error: command-timeout}]
    - name: the worker is lost while it changes something
      faults: [{step: restart, target: web2, kind: crash}]
      expects:
        state: failed
        targets: {web2: unknown}
        sequence: [{entry: step-ended, step: restart, target: web2, state: unknown, error: effect-uncertain}]
    - name: the worker is lost while it reads
      faults: [{step: tell, kind: crash}]
      expects: {state: succeeded, steps: [drain, restart, tell]}
    - name: somebody cancels
      faults: [{step: drain, target: web2, kind: cancel}]
      expects:
        state: cancelled
        targets: {web1: succeeded, web2: cancelled, web3: cancelled}
        sequence: [{entry: cancel-requested}, {entry: step-ended, step: drain, target: web2, state: cancelled}, {entry: run-ended}]
        absent: [tell]
    - name: a mocked end by condition
      mocks: [{step: drain, if: 'asset.labels.env == "test"', state: quarantined}]
      expects: {state: failed, targets: {web1: succeeded, web2: succeeded, web3: quarantined}}`),
    );
    expect(failuresOf(report)).toEqual([]);
  });

  it('gives the same entries for the same seed, and another order for another', () => {
    const text =
      rolling.replace('waves: [1, "100%"], ', '') + rehearsal('    - {name: x, expects: {state: succeeded}}');
    const entries = (seed: number) =>
      JSON.stringify(
        rehearseText(text.replace('  runbook: rolling\n', `  runbook: rolling\n  seed: ${seed}\n`)).cases[0]?.simulation
          ?.entries,
      );
    expect(entries(1)).toEqual(entries(1));
    expect(new Set([1, 2, 3, 4, 5, 6].map(entries)).size).toBeGreaterThan(1);
  });
});

const flow = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: flow}
spec:
  targets: asset.kind == "server"
  steps:
    - {id: look, uses: http.request, with: {url: "http://x"}, outputs: {code: result.status}}
    - id: pick
      choose:
        - when: steps.look.code == 200
          steps: [{id: good, uses: ssh.run, with: {argv: ["true"]}}]
        - steps: [{id: bad, uses: http.request, with: {url: "http://y"}}]
    - id: sites
      forEach: {items: [ber, ham], as: site, steps: [{id: visit, uses: http.request, with: {url: "http://\${{ item.site }}"}}]}
    - id: ask
      approval: {roles: [operator], expires: 1h}
    - id: go
      wait: {signal: go, payload: {type: object, required: [n]}, timeout: 1h}
      outputs: {n: result.n}
    - id: pause
      wait: {duration: 5m}
    - id: poll
      wait: {uses: http.request, with: {url: "http://z"}, condition: result.status == 200, every: 10s, timeout: 5m}
    - id: other
      call: {runbook: called, inputs: {n: "\${{ steps.go.n }}"}}
      outputs: {m: result.m}
    - id: both
      parallel:
        a: [{id: left, uses: http.request, with: {url: "http://l"}}]
        b: [{id: right, uses: http.request, with: {url: "http://r"}}]
    - id: guard
      try: [{id: change, uses: http.request, with: {url: "http://c", effect: mutating}}]
      catch: [{id: mend, uses: http.request, with: {url: "http://m/\${{ error.code }}"}}]
      finally: [{id: tidy, uses: http.request, with: {url: "http://t"}}]
    - id: guarded
      try: [{id: risky, uses: ssh.run, with: {argv: ["x"]}}]
      catch: [{id: repair, uses: ssh.run, with: {argv: ["\${{ error.code }}"]}}]
  outputs: {m: steps.other.m}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: called}
spec:
  inputs: {type: object, properties: {n: {type: integer}}, additionalProperties: false}
  steps:
    - {id: work, uses: http.request, with: {url: "http://w/\${{ inputs.n }}"}}
  outputs: {m: inputs.n + 1}
---
`;

const flowRehearsal = (cases: string): string =>
  rehearsal(cases, 'flow').replace(
    '  cases:',
    `  mocks: []
  cases:`,
  );
const granted = `
      approvals: [{step: ask, decision: approve, by: anna, after: 10m}]
      signals: [{name: go, payload: {n: 4}, after: 1s}]`;

describe('rehearsals of flow steps', () => {
  it('goes through all kinds of steps', () => {
    const report = rehearseText(
      flow +
        flowRehearsal(`
    - name: all is well${granted}
      mocks:
        - {step: poll, attempt: 1, output: {status: 503}}
      expects:
        state: succeeded
        outputs: {m: 5}
        approvals: [ask]
        steps: [look, good, "sites[ber]/visit", "sites[ham]/visit", ask, go, pause, poll, other, left, right, change, tidy, risky]
        sequence:
          - {entry: approval-decided, step: ask}
          - {step: poll, entry: step-ended, attempt: 2}
          - {runbook: called, step: work, entry: step-started}
          - {runbook: called, entry: run-ended, state: succeeded}
        absent: [mend, repair]`),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(report.coverage.map(({ runbook, steps, compensation }) => ({ runbook, steps, compensation }))).toEqual([
      { runbook: 'called', steps: { taken: 1, total: 1 }, compensation: { taken: 0, total: 0 } },
      { runbook: 'flow', steps: { taken: 19, total: 23 }, compensation: { taken: 1, total: 3 } },
    ]);
    const missing = report.coverage[1]?.points.filter(({ isTaken }) => !isTaken);
    expect(missing?.map(({ kind, step, branch }) => [kind, step, branch])).toEqual([
      ['branch', 'pick', '2'],
      ['step', 'bad', undefined],
      ['catch', 'guard', undefined],
      ['step', 'mend', undefined],
      ['catch', 'guarded', undefined],
      ['step', 'repair', undefined],
    ]);
  });

  it('catches failures, chooses, rejects and waits in vain', () => {
    const report = rehearseText(
      flow +
        flowRehearsal(`
    - name: caught${granted}
      faults:
        - {step: change, kind: fail}
        - {step: risky, target: web2, kind: fail}
      expects:
        state: succeeded
        targets: {web1: succeeded, web2: succeeded, web3: succeeded}
        sequence: [change, mend, tidy, {step: repair, target: web2, entry: step-started}]
        absent: [{step: repair, target: web1}]
    - name: another branch
      mocks: [{step: look, output: {status: 500}}]
      approvals: [{step: ask, decision: reject, reason: not now}]
      expects: {state: failed, error: approval-rejected, sequence: [bad, ask], absent: [good, go]}
    - name: nobody decides
      expects: {state: failed, error: approval-expired, within: 2h}
    - name: no signal
      approvals: [{step: ask, decision: approve}]
      expects: {state: failed, error: signal-timeout}
    - name: the called one fails${granted}
      mocks: [{step: work, runbook: called, state: failed}]
      expects: {state: failed, sequence: [other, {runbook: called, entry: run-ended, state: failed}], absent: [left]}
    - name: cancelled inside of try${granted}
      faults: [{step: change, kind: cancel}]
      expects: {state: cancelled, sequence: [{entry: cancel-requested}, tidy, {entry: run-ended}], absent: [mend, risky]}`),
    );
    expect(failuresOf(report)).toEqual([]);
  });
});

const undoable = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: undoable}
spec:
  targets: asset.kind == "server"
  steps:
    - id: open
      uses: http.request
      with: {url: "http://lb/open", effect: mutating}
      outputs: {code: result.status}
      rollback: {uses: http.request, with: {url: "http://lb/close/\${{ steps.open.code }}"}}
    - {id: change, uses: ssh.run, with: {argv: [change]}, rollback: {uses: ssh.run, with: {argv: [restore]}, retry: {maxAttempts: 2}}}
    - {id: check, uses: ssh.run, with: {argv: [check], effect: read-only}}
    - {id: finish, uses: http.request, with: {url: "http://lb/done"}}
---
`;

describe('rehearsals of a rollback', () => {
  it('undoes what was begun, the last first, and says what could not be undone', () => {
    const report = rehearseText(
      undoable +
        rehearsal(
          `
    - name: all is well
      expects: {state: succeeded, rollbacks: []}
    - name: the check fails on one
      faults: [{step: check, target: web2, kind: fail}]
      expects:
        state: failed
        targets: {web1: succeeded, web2: failed}
        rollbacks: [{step: change, target: web2}]
    - name: cancelled in between
      faults: [{step: check, target: web1, kind: cancel}]
      mocks: [{step: change, phase: undo, attempt: 1, target: web1, state: failed}]
      expects:
        state: cancelled
        sequence:
          - {entry: cancel-requested}
          - {entry: undo-ended, step: change, target: web1, state: failed, attempt: 1}
          - {entry: undo-ended, step: change, target: web1, state: succeeded, attempt: 2}
          - {entry: undo-started, step: open}
          - {entry: run-ended}`,
          'undoable',
        ),
    );
    expect(failuresOf(report)).toEqual([]);
    expect(report.coverage[0]?.rollbacks).toEqual({ taken: 2, total: 2 });
  });
});
