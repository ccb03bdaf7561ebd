import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { capture } from '../../session/testing/capture-host.js';

const runbook = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: rolling}
spec:
  targets: asset.kind == "server"
  steps:
    - {id: drain, uses: ssh.run, with: {argv: [drain, "\${{ asset.name }}"]}}
    - {id: tell, uses: http.request, with: {url: "http://x/"}, if: run.counts.failed == 0}
`;
const rehearsal = (step: string): string => `apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: rolling}
spec:
  runbook: rolling
  estate: [{name: web1}, {name: web2}]
  cases:
    - {name: all is well, expects: {state: succeeded, steps: [drain, tell]}}
    - name: <one> & "other" fails
      faults: [{step: ${step}, target: web1, kind: fail}]
      expects: {state: succeeded, absent: [tell]}
`;

describe('fettle rehearse', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-rehearse-'));
    await writeFile(join(folder, 'runbook.yaml'), runbook);
    await writeFile(join(folder, 'rehearsal.yaml'), rehearsal('drain'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('says what was not as expected, with its place and what happened, and ends with 1', async () => {
    const junit = join(folder, 'out.xml');
    const result = await capture(['rehearse', '-f', folder, '--junit', junit]);
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toContain('ok  all is well (succeeded,');
    expect(result.stdout).toContain('not ok  <one> & "other" fails (failed,');
    expect(result.stdout).toMatch(/rehearsal\.yaml:11:24: error: the run ended as failed \(targets-failed: /);
    expect(result.stdout).toMatch(/\d\.\d s {2}step-ended drain on web1: failed \(fault-injected\)/);
    expect(result.stdout).toContain('coverage of rolling: steps and branches 2 of 2 (100 %)');
    expect(result.stderr).toBe('1 case as expected, 1 not\n');
    const xml = await readFile(junit, 'utf8');
    expect(xml).toContain('<testsuites name="fettle rehearse" tests="2" failures="1" errors="0"');
    expect(xml).toContain('<testcase name="&lt;one&gt; &amp; &quot;other&quot; fails" classname="rolling.rolling"');
    expect(xml).toMatch(/<failure type="not-as-expected" message="the run ended as failed/);
  });

  it('takes single cases, prints JSON, and holds coverage against a bound', async () => {
    const only = ['rehearse', '-f', folder, '--case', 'is well'];
    const json = await capture([...only, '-o', 'json', '--entries']);
    expect(json.exitCode).toBe(0);
    const report = JSON.parse(json.stdout) as { cases: { name: string; entries: { kind: string }[] }[] };
    expect(report.cases.map(({ name }) => name)).toEqual(['all is well']);
    expect(report.cases[0]?.entries.at(-1)?.kind).toBe('run-ended');
    expect(await capture([...only, '--min-coverage', '100'])).toMatchObject({ exitCode: 0 });
    expect(await capture(['rehearse', '-f', folder, '--case', 'nothing'])).toMatchObject({ exitCode: 3 });
    expect(await capture([...only, '--min-coverage', '101'])).toMatchObject({ exitCode: 2 });
    const result = await capture(['rehearse', '-f', folder, '--case', 'other', '--min-coverage', '60%']);
    expect(result.stderr).toContain('step coverage of rolling is 50.0 %, less than 60 %');
  });

  it('finds what is wrong in a rehearsal, as validate does', async () => {
    const wrong = join(folder, 'wrong.yaml');
    await writeFile(wrong, `${runbook}---\n${rehearsal('drian')}`);
    const result = await capture(['rehearse', '-f', wrong]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/wrong\.yaml:\d+:\d+: error: the runbook "rolling" has no step "drian"/);
    expect(result.stderr).toContain('did you mean "drain"?');
    const validated = await capture(['validate', '-f', wrong]);
    expect(validated.exitCode).toBe(1);
    expect(result.stderr).toContain(validated.stdout);
    const none = await capture(['rehearse', '-f', join(folder, 'runbook.yaml')]);
    expect(none).toMatchObject({ exitCode: 3 });
    expect(none.stderr).toContain('no document of kind Rehearsal');
  });
});
