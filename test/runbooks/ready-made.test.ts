import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { actionContracts } from '@fettle/activities/contracts';
import { durationMs } from '@fettle/contracts';
import { lintDocuments, rehearse, shareOf, validateInputs } from '@fettle/runbook/source';
import { CHECKOUT } from '../../apps/cli/dist/up/data-dir.js';
import { everyStep } from '../support/accounted.js';
import { READY_MADE, readyMade, readyMadeRunbooks } from '../support/ready-made.js';

function fettle(...args: string[]) {
  return spawnSync(process.execPath, [join(CHECKOUT, 'apps/cli/bin/fettle.mjs'), ...args], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

const all = readyMadeRunbooks();

describe('ready-made runbooks', () => {
  it.each(all.map((ready) => [ready.name, ready] as const))(
    '%s: its rehearsal comes out as it says',
    (_name, ready) => {
      const report = rehearse(ready.documents, { actions: actionContracts });
      expect(
        report.cases.flatMap(({ name, failures }) => failures.map(({ message }) => `${name}: ${message}`)),
      ).toEqual([]);
      expect(report.cases.length).toBeGreaterThan(2);
      const coverage = report.coverage.find(({ runbook }) => runbook === ready.name);
      const missed = coverage!.points.filter(({ isTaken }) => !isTaken);
      expect(missed).toEqual([]);
      expect([shareOf(coverage!.steps), shareOf(coverage!.compensation)]).toEqual([1, 1]);
    },
  );

  it.each(all.map((ready) => [ready.name, ready] as const))('%s: lint finds nothing', (_name, ready) => {
    const found = lintDocuments(ready.documents, { actions: actionContracts });
    expect(found.filter(({ ignored }) => ignored === undefined)).toEqual([]);
  });

  it.each(all.map((ready) => [ready.name, ready] as const))(
    '%s says what it is for, and what each input is',
    (_name, ready) => {
      expect(ready.spec.description?.length ?? 0).toBeGreaterThan(100);
      expect(ready.spec.summary).toBeDefined();
      // Every attempt has a time limit that somebody thought of, and no value stands in the text of a script.
      const text = JSON.stringify(ready.spec.steps);
      expect(text).not.toMatch(/"script":"[^"]*\$\{\{/);
    },
  );

  it('rolling-reboot: what is drained has a way back, or nothing begins', () => {
    const { spec } = readyMade('rolling-reboot');
    const problems = (inputs: Record<string, unknown>) => validateInputs(spec, inputs).findings.length;
    const [drain, undrain] = [['/opt/lb/leave'], ['/opt/lb/join']];
    expect(problems({ drain })).toBeGreaterThan(0);
    expect(problems({ drain, undrain: [] })).toBeGreaterThan(0);
    expect([problems({}), problems({ drain, undrain }), problems({ undrain })]).toEqual([0, 0, 0]);
  });

  it('patch-rings: what soaks is within the time that a run may take, and has begun to soak at all', () => {
    const { spec } = readyMade('patch-rings');
    const isTaken = (soak: string, secondRing: boolean) => validateInputs(spec, { soak, secondRing }).inputs !== null;
    // Of a ring two days, and half a day until somebody says yes.
    const takes = (soak: string, soaks: number) => soaks * durationMs(soak) + (soaks + 1) * durationMs('2d');
    const isWithin = (soak: string, soaks: number) => takes(soak, soaks) + durationMs('12h') <= durationMs('30d');
    const longest = {
      one: ['25d', '599h', '9999m', '999999s', '999999999ms'],
      two: ['11d', '259h', '9999m', '999999s', '999999999ms'],
    };
    for (const soak of longest.one) expect([soak, isTaken(soak, false), isWithin(soak, 1)]).toEqual([soak, true, true]);
    for (const soak of longest.two) expect([soak, isTaken(soak, true), isWithin(soak, 2)]).toEqual([soak, true, true]);
    for (const soak of ['26d', '720h', '100000m', '9999999s'])
      expect([soak, isTaken(soak, false)]).toEqual([soak, false]);
    for (const soak of ['12d', '16d', '264h', '0s']) expect([soak, isTaken(soak, true)]).toEqual([soak, false]);
    expect(spec.timeout).toBe('30d');
  });

  it('patch-rings: looks for the hosts of a ring where patch-fleet does', () => {
    const steps = new Map([...everyStep(readyMade('patch-rings').spec)].map((step) => [step.id, step]));
    const { targets } = readyMade('patch-fleet').spec;
    for (const [counts, calls] of [
      ['in_second', 'second'],
      ['in_rest', 'rest'],
    ] as const) {
      const [count, call] = [steps.get(counts)!, steps.get(calls)!];
      if (!('uses' in count) || !('call' in call)) throw new Error(`${counts} or ${calls} is another step by now`);
      const ring = call.call.on ?? '';
      expect([`${targets} && ${ring}`, `${targets} && (${ring})`]).toContain(count.with['on']);
    }
  });

  it('user-offboard: a host without pgrep is none on which nothing runs', () => {
    const step = [...everyStep(readyMade('user-offboard').spec)].find(({ id }) => id === 'end_sessions');
    const { script } = (step as unknown as { with: { script: string } }).with;
    const ended = (PATH: string) =>
      spawnSync('/bin/sh', ['-c', script, 'script', 'nobody-of-this-name'], { encoding: 'utf8', env: { PATH } });
    expect(ended('/nowhere')).toMatchObject({ status: 1, stderr: expect.stringContaining('no pgrep') });
    // pgrep ends with 2 where it does not know the account: that is no "none", either.
    expect(ended('/usr/bin:/bin')).toMatchObject({ status: 1, stderr: expect.stringContaining('pgrep failed (2)') });
  });

  it('are rehearsed and linted by the CLI in one go', () => {
    const rehearsed = fettle(
      'rehearse',
      '-f',
      READY_MADE,
      '-o',
      'json',
      '--min-coverage',
      '100',
      '--min-compensation',
      '100',
    );
    expect([rehearsed.status, rehearsed.stderr]).toEqual([0, expect.stringContaining('')]);
    const linted = fettle('lint', '-f', READY_MADE, '--strict');
    expect([linted.status, linted.stderr]).toEqual([0, expect.stringContaining('0 errors, 0 warnings, 0 info')]);
  });

  it.each(all.map((ready) => [ready.name, ready] as const))(
    '%s: a plan is made of it without a server',
    (name, ready) => {
      const { inputs } = ready.rehearsal.spec;
      const given = Object.entries(inputs).map(
        ([key, value]) => `--input=${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      );
      const targets = ready.rehearsal.spec.estate.map((asset) => `--target=${asset.name}`);
      // With those that it calls.
      const folders = new Set(ready.documents.map(({ file }) => dirname(file)));
      const files = [...folders].flatMap((folder) => ['-f', folder]);
      const planned = fettle('plan', name, ...files, ...given, ...targets, '-o', 'json');
      expect([planned.status, planned.stderr]).toEqual([0, expect.anything()]);
      expect(planned.stdout).toContain(name);
    },
  );
});
