import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Approval, ApprovalDetail, RunDetail, RunSummary } from '@fettle/contracts';
import { CliStack } from './cli-stack.js';

describe('fettle approval', () => {
  let cli: CliStack;
  const tokens: Record<string, string> = {};

  beforeAll(async () => {
    cli = await CliStack.start(1);
    for (const name of ['ada', 'bob']) {
      const post = (path: string, body: unknown) => cli.api.call('POST', `/api/v1/${path}`, { body });
      await post('principals', { name, bindings: [{ role: 'operator', selector: null }] });
      tokens[name] = String((await post('tokens', { principal: name, name: 'test' })).body.token);
    }
    const file = join(cli.folder, 'asks.yaml');
    await writeFile(
      file,
      `apiVersion: fettle/v1
kind: Runbook
metadata: { name: asks }
spec:
  targets: asset.kind == "server"
  steps:
    - id: ask
      approval: { message: Shall it be?, roles: [operator] }
    - id: say
      uses: ssh.run
      with: { argv: [echo, hello] }
`,
    );
    expect(await cli.fettle(['apply', '-f', file])).toMatchObject({ exitCode: 0 });
  }, 120_000);

  afterAll(async () => {
    await cli?.stop();
  });

  const as = (name: string) => ({ env: { FETTLE_TOKEN: tokens[name] ?? '' } });
  const start = (...more: string[]) => cli.fettle(['run', 'start', 'asks', '--follow', ...more], as('ada'));
  const open = async (run?: string): Promise<Approval> =>
    (await cli.json<Approval[]>('approval', 'list', ...(run === undefined ? [] : ['--run', run])))[0]!;

  it('tells by exit code 8 that a run waits, shows what for, and lets another say yes', async () => {
    const started = await start();
    expect(started.exitCode).toBe(8);
    expect(started.stderr).toContain('It waits for an approval (Shall it be?): fettle approval show ');
    const approval = await open();
    const { id, runId } = approval;
    const run = await cli.fettle(['run', 'show', runId]);
    expect(run.stdout).toMatch(/may decide\s+anybody who is operator/);
    const shown = await cli.fettle(['approval', 'show', id], as('bob'));
    expect(shown.stdout).toMatch(/not\s+ada requested the run/);
    expect(shown.stdout).toMatch(/you\s+may decide/);
    expect(shown.stdout).toContain('echo hello');
    expect(shown.stderr).toContain(`fettle approval approve ${id} --plan-digest ${approval.planDigest}`);
    expect((await cli.json<ApprovalDetail>('approval', 'show', id)).plan?.digest).toBe(approval.planDigest);

    expect((await cli.fettle(['approval', 'approve', id], as('ada'))).exitCode).toBe(5);
    expect((await cli.fettle(['approval', 'reject', id], as('bob'))).exitCode).toBe(2);
    expect((await cli.fettle(['approval', 'show', 'nonsense'])).exitCode).toBe(3);
    const approve = await cli.fettle(['approval', 'approve', id, '--plan-digest', approval.planDigest], as('bob'));
    expect([approve.exitCode, approve.stderr]).toEqual([0, `Approved; run ${runId} goes on.\n`]);
    expect((await cli.fettle(['run', 'follow', runId])).exitCode).toBe(0);
    expect((await cli.json<RunDetail>('run', 'show', runId)).state).toBe('succeeded');
    expect((await cli.fettle(['approval', 'list'])).stderr).toBe('No approvals.\n');
  }, 180_000);

  it('waits with --wait-approval, and says 8 when nobody came', async () => {
    const out = await start('--wait-approval', '1s');
    expect(out.exitCode).toBe(8);
    const first = await open();
    expect((await cli.fettle(['approval', 'reject', first.id, '--reason', 'no'], as('bob'))).exitCode).toBe(0);
    const { id: runId } = await cli.json<RunSummary>('run', 'start', 'asks');
    const following = cli.fettle(['run', 'follow', runId, '--wait-approval', '40s'], as('ada'));
    let second = await open(runId);
    for (let tries = 0; second === undefined && tries < 200; tries += 1) second = await open(runId);
    expect((await cli.fettle(['approval', 'approve', second.id], as('bob'))).exitCode).toBe(0);
    expect((await following).exitCode).toBe(0);
  }, 90_000);

  it('keeps with the run who decided, when and why', async () => {
    const ask = async (): Promise<Approval> => {
      const { id: runId } = await cli.json<RunSummary>('run', 'start', 'asks');
      let approval = await open(runId);
      for (let tries = 0; approval === undefined && tries < 200; tries += 1) approval = await open(runId);
      return approval;
    };
    const decide = async (verb: 'approve' | 'reject', reason: string): Promise<Approval> => {
      const approval = await ask();
      const before = await cli.json<RunDetail>('run', 'show', approval.runId);
      expect([before.approvals?.length, before.endedApprovals]).toEqual([1, undefined]);
      expect((await cli.fettle(['approval', verb, approval.id, '--reason', reason], as('bob'))).exitCode).toBe(0);
      await cli.fettle(['run', 'follow', approval.runId]);
      return approval;
    };
    const approved = await decide('approve', 'looked at');
    const run = await cli.json<RunDetail>('run', 'show', approved.runId);
    expect([run.state, run.approvals]).toEqual(['succeeded', undefined]);
    expect(run.endedApprovals).toMatchObject([
      {
        id: approved.id,
        state: 'approved',
        decisions: [{ principal: 'bob', decision: 'approve', reason: 'looked at' }],
      },
    ]);
    const { at } = run.endedApprovals![0]!.decisions[0]!;
    const shown = await cli.fettle(['run', 'show', approved.runId]);
    expect(shown.stdout).toMatch(/^state +approved\nasked +Shall it be\?\nstep +ask\napproved +1 of 1 by bob$/m);
    expect(shown.stdout).toContain(`yes       bob at ${at}: looked at\n`);

    const rejected = await decide('reject', 'not today');
    const refused = await cli.fettle(['run', 'show', rejected.runId]);
    expect(refused.stdout).toMatch(/^state +rejected$/m);
    expect(refused.stdout).toMatch(/^no +bob at 2\S+Z: not today$/m);
  }, 90_000);

  it('lists what is mine, and shows what drifted', async () => {
    const { id: runId } = await cli.json<RunSummary>('run', 'start', 'asks');
    let approval = await open(runId);
    for (let tries = 0; approval === undefined && tries < 200; tries += 1) approval = await open(runId);
    const mine = await cli.fettle(['approval', 'list', '--mine', '-o', 'json'], as('bob'));
    expect((JSON.parse(mine.stdout) as Approval[]).map(({ id }) => id)).toEqual([approval.id]);
    await cli.stack.dataSource.query(`UPDATE credential SET version = version + 1`);
    const drifted = await cli.fettle(['approval', 'approve', approval.id], as('bob'));
    expect(drifted.exitCode).toBe(1);
    expect(drifted.stderr).toMatch(/credential .*\n {2}- version 1\n {2}\+ version 2\n/);
    expect((await cli.fettle(['run', 'follow', runId])).exitCode).toBe(6);
    expect((await cli.fettle(['approval', 'show', approval.id])).stdout).toContain('drifted');
  }, 180_000);
});
