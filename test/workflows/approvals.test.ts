import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Approval, ApprovalDetail, RunDetail, RunSummary } from '@fettle/contracts';
import { ApiProcess } from '../support/api-process.js';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

type Body = Record<string, unknown>;

describe('approvals', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let service: ScriptedService;
  let worker: WorkerProcess;
  /** Two API processes beside each other. */
  let apis: readonly [ApiProcess, ApiProcess];
  const tokens: Record<string, string> = {};

  beforeAll(async () => {
    [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
    await stack.addHosts(sshd, 2);
    await stack.addHosts(sshd, 1, { prefix: 'db', first: 2 });
    await stack.addCredential('service-token', 'token', 'first');
    worker = await stack.startWorker();
    apis = [await ApiProcess.start(stack.environment), await ApiProcess.start(stack.environment)];
    await addPrincipal('ada', 'operator');
    await addPrincipal('bob', 'operator');
    await addPrincipal('cy', 'operator');
    await addPrincipal('dee', 'operator', 'asset.labels.group == "host"');
    await addPrincipal('vera', 'viewer');
    await addPrincipal('robot', 'operator', null, 'service');
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    for (const api of apis ?? []) await api.stop();
    await sshd?.stop();
    await service?.close();
    await stack?.close();
  });

  async function addPrincipal(name: string, role: string, selector: string | null = null, kind = 'person') {
    await call('POST', '/principals', { body: { name, kind, bindings: [{ role, selector }] } });
    tokens[name] = String((await call('POST', '/tokens', { body: { principal: name, name: 'test' } })).body.token);
  }

  async function call(method: string, path: string, options: { as?: string; body?: unknown; api?: 0 | 1 } = {}) {
    const { as, body, api = 0 } = options;
    const headers = as === undefined ? {} : { headers: { authorization: `Bearer ${tokens[as]}` } };
    return apis[api].call(method, `/api/v1${path}`, { ...headers, ...(body === undefined ? {} : { body }) });
  }

  async function apply(name: string, spec: Body, as?: string, kind = 'Runbook'): Promise<void> {
    const source = JSON.stringify({ apiVersion: 'fettle/v1', kind, metadata: { name }, spec });
    const answer = await call('POST', '/documents/apply', { ...(as === undefined ? {} : { as }), body: { source } });
    if (answer.status !== 200) throw new Error(answer.text);
  }

  const get = (id: string, more: Body = {}): Body => ({
    ...{ id, uses: 'http.request', with: { url: service.url(`/${id}`), ...more } },
  });
  const ask = (more: Body = {}): Body => ({ id: 'ask', approval: { roles: ['operator'], ...more } });
  const tiered = {
    id: 'tell',
    uses: 'ssh.run',
    with: { argv: ['echo', '${{ asset.labels.group }}', '${{ asset.labels.number }}'] },
  };
  const targets = 'asset.kind == "server"';

  async function start(runbook: string, as = 'ada'): Promise<string> {
    const answer = await call('POST', '/runs', { as, body: { runbook } });
    if (answer.status !== 202) throw new Error(answer.text);
    return (answer.body as unknown as RunSummary).id;
  }

  async function until<Value>(what: string, look: () => Promise<Value | null>): Promise<Value> {
    for (let tries = 0; tries < 400; tries += 1) {
      const found = await look();
      if (found !== null) return found;
      await sleep(50);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  /** The open approval of a run, once there is one (of that round). */
  function asked(runId: string, round = 1): Promise<Approval> {
    return until(`round ${round} of run ${runId}`, async () => {
      const { items } = (await call('GET', `/approvals?runId=${runId}&state=open`)).body as { items: Approval[] };
      return items.find((item) => item.round === round) ?? null;
    });
  }

  function inState(runId: string, state: string): Promise<RunDetail> {
    return until(`run ${runId} ${state}`, async () => {
      const run = await stack.run(runId);
      return run.state === state ? run : null;
    });
  }

  const decide = (id: string, verb: 'approve' | 'reject', as: string, body: Body = {}, api: 0 | 1 = 0) =>
    call('POST', `/approvals/${id}/${verb}`, { as, body, api });
  const calls = (id: string) => service.calls.filter((path) => path === `/${id}`).length;

  async function kinds(runId: string): Promise<string[]> {
    const rows: { kind: string }[] = await stack.dataSource.query(
      `SELECT kind FROM entry WHERE run_id = $1 AND asset_id IS NULL ORDER BY seq`,
      [runId],
    );
    return rows.map(({ kind }) => kind);
  }

  async function setLabel(group: string): Promise<void> {
    await stack.dataSource.query(`UPDATE asset SET labels = labels || $1 WHERE name = 'host-001'`, [
      JSON.stringify({ number: group }),
    ]);
  }

  it('asks, shows what would be done, and goes on when enough others have said yes', async () => {
    await apply('two-eyes', {
      steps: [get('before'), ask({ message: 'Go on?', quorum: 2, principals: ['robot'] }), get('after_two')],
    });
    const runId = await start('two-eyes');
    const approval = await asked(runId);
    const run = await inState(runId, 'waiting-approval');
    expect(run.approvals).toMatchObject([{ id: approval.id, quorum: 2, approvals: 0, message: 'Go on?' }]);
    expect(calls('after_two')).toBe(0);

    const shown = (await call('GET', `/approvals/${approval.id}`, { as: 'bob' })).body as unknown as ApprovalDetail;
    expect(shown).toMatchObject({ mayDecide: true, excluded: [{ principal: 'ada', why: 'ada requested the run' }] });
    const plan = (await call('POST', '/plans', { as: 'bob', body: { runbook: 'two-eyes' } })).body;
    expect(shown.planDigest).toBe(plan.digest);
    expect(shown.plan?.digest).toBe(plan.digest);

    const refused = await decide(approval.id, 'approve', 'ada');
    expect([refused.status, refused.body.code]).toEqual([403, 'denied']);
    expect(String(refused.body.detail)).toContain('ada requested the run');
    expect((await decide(approval.id, 'approve', 'vera')).status).toBe(403);
    const other = `sha256:${'0'.repeat(64)}`;
    expect((await decide(approval.id, 'approve', 'bob', { planDigest: other })).body.code).toBe('plan-drift');

    const mine = async (as: string) =>
      ((await call('GET', '/approvals?mine=true', { as })).body.items as Approval[]).map(({ id }) => id);
    expect(await mine('bob')).toEqual([approval.id]);
    expect(await mine('ada')).toEqual([]);

    const first = await decide(approval.id, 'approve', 'bob', { reason: 'looks right', planDigest: plan.digest });
    expect(first.body).toMatchObject({ state: 'open', approvals: 1 });
    expect((await decide(approval.id, 'approve', 'bob')).body.code).toBe('already-decided');
    expect(await mine('bob')).toEqual([]);
    expect((await decide(approval.id, 'approve', 'robot')).body).toMatchObject({ state: 'approved', approvals: 2 });
    expect(await stack.ended(runId)).toMatchObject({ state: 'succeeded' });
    expect(calls('after_two')).toBe(1);
    expect((await decide(approval.id, 'approve', 'cy')).body.code).toBe('approval-closed');
    expect((await kinds(runId)).filter((kind) => !kind.startsWith('step'))).toEqual([
      ...['run-queued', 'run-started', 'approval-asked', 'run-waiting-approval'],
      ...['approval-decided', 'approval-decided', 'run-went-on', 'run-ended'],
    ]);
    const audit: { action: string; principal: string; text: string }[] = await stack.dataSource.query(
      `SELECT action, principal, convert_from(canonical, 'UTF8') AS text FROM audit_record WHERE object_kind = 'approval' ORDER BY id`,
    );
    expect(audit.map(({ action, principal }) => `${action} ${principal}`)).toEqual([
      ...['approval.ask system', 'approval.approve bob', 'approval.approve robot'],
    ]);
    for (const { text } of audit) expect(text).toContain(approval.planDigest);
  }, 60_000);

  it('is rejected by one no, with a reason', async () => {
    await apply('rejected', { steps: [ask({ quorum: 2 }), get('after_no')] });
    const runId = await start('rejected');
    const { id } = await asked(runId);
    expect((await decide(id, 'reject', 'bob')).status).toBe(400);
    expect((await decide(id, 'approve', 'bob')).body.state).toBe('open');
    // Who has said yes may think again.
    const no = await decide(id, 'reject', 'bob', { reason: 'not on a Friday' });
    expect(no.body).toMatchObject({ state: 'rejected', approvals: 0 });
    const run = await stack.ended(runId);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'approval-rejected' } });
    expect(run.error?.message).toContain('bob rejected it: not on a Friday');
    expect(calls('after_no')).toBe(0);
  }, 60_000);

  it('lets a role decide only where it reaches all targets, those of called runbooks included', async () => {
    await apply('inner', { targets: 'asset.labels.group == "db"', steps: [tiered] });
    await apply('all-hosts', { targets, steps: [ask(), tiered] });
    await apply('own-hosts', { targets: 'asset.labels.group == "host"', steps: [ask(), tiered] });
    await apply('calling', {
      targets: 'asset.labels.group == "host"',
      steps: [ask(), tiered, { id: 'more', call: { runbook: 'inner' } }],
    });
    const [all, own, calling] = [await start('all-hosts'), await start('own-hosts'), await start('calling')];
    const [first, second, third] = [await asked(all), await asked(own), await asked(calling)];
    // What he may not read he is not shown.
    expect((await decide(first.id, 'approve', 'dee')).status).toBe(403);
    expect((await decide(third.id, 'approve', 'dee')).status).toBe(403);
    expect((await decide(second.id, 'approve', 'robot')).body.detail).toContain('not among those');
    expect((await decide(second.id, 'approve', 'dee')).body.state).toBe('approved');
    for (const { id } of [first, third]) await decide(id, 'approve', 'bob');
    for (const id of [all, own, calling]) expect(await stack.ended(id)).toMatchObject({ state: 'succeeded' });
  }, 60_000);

  it('counts right where two processes are asked at once', async () => {
    await apply('race', { steps: [ask({ quorum: 2 }), get('after_race')] });
    for (let turn = 1; turn <= 4; turn += 1) {
      const runId = await start('race', 'cy');
      const { id } = await asked(runId);
      const answers = await Promise.all([
        ...(['ada', 'bob'] as const).map((as) => decide(id, 'approve', as, {}, 0)),
        ...(['ada', 'bob'] as const).map((as) => decide(id, 'approve', as, {}, 1)),
      ]);
      const ok = answers.filter(({ status }) => status === 200).map(({ body }) => body.state as string);
      expect(ok.sort()).toEqual(['approved', 'open']);
      expect(await stack.ended(runId)).toMatchObject({ state: 'succeeded' });
      expect(calls('after_race')).toBe(turn);
    }
  }, 60_000);

  it('excludes who last applied the schedule, and who triggered it', async () => {
    await call('POST', '/principals', { body: { name: 'eve', bindings: [{ role: 'admin', selector: null }] } });
    tokens.eve = String((await call('POST', '/tokens', { body: { principal: 'eve', name: 'test' } })).body.token);
    await apply('nightly', { steps: [ask({ roles: ['operator', 'admin'] }), get('after_night')] });
    await apply('at-night', { runbook: 'nightly', cron: '0 3 * * *', timeZone: 'UTC' }, 'eve', 'Schedule');
    const triggered = await call('POST', '/schedules/at-night/trigger', { as: 'ada', body: {} });
    const { id } = await asked(String(triggered.body.id));
    expect((await decide(id, 'approve', 'ada')).body.detail).toContain('ada requested the run');
    expect((await decide(id, 'approve', 'eve')).body.detail).toContain('eve applied the schedule "at-night"');
    expect((await decide(id, 'approve', 'bob')).body.state).toBe('approved');
    expect(await stack.ended(String(triggered.body.id))).toMatchObject({ state: 'succeeded' });
  }, 60_000);

  it('lets others decide as well after a while, and is over in time', async () => {
    await apply('slow', {
      steps: [
        ask({ principals: ['bob'], roles: [], expires: '6s', escalate: { after: '1s', principals: ['cy'] } }),
        get('after_slow'),
      ],
    });
    const [first, second] = [await start('slow'), await start('slow')];
    const [one, two] = [await asked(first), await asked(second)];
    expect((await decide(one.id, 'approve', 'cy')).status).toBe(403);
    await until('escalated', async () => ((await kinds(first)).includes('approval-escalated') ? true : null));
    expect((await decide(one.id, 'approve', 'cy')).body.state).toBe('approved');
    expect(await stack.ended(first)).toMatchObject({ state: 'succeeded' });
    const run = await stack.ended(second);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'approval-expired' } });
    expect((await decide(two.id, 'approve', 'bob')).body.code).toBe('approval-expired');
    expect(calls('after_slow')).toBe(1);
  }, 60_000);

  it('is void when what would be done is no longer what was asked about', async () => {
    await apply('drifts', { targets, steps: [ask(), get('after_drift', { bearer: 'service-token' }), tiered] });
    const [byLabel, bySecret] = [await start('drifts'), await start('drifts')];
    const [one, two] = [await asked(byLabel), await asked(bySecret)];
    await setLabel('seven');
    const drifted = await decide(one.id, 'approve', 'bob');
    expect(drifted.body.state).toBe('drifted');
    expect(drifted.body.differences).toMatchObject([{ kind: 'step', subject: 'tell', targets: ['host-001'] }]);
    const run = await stack.ended(byLabel);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'plan-drift' } });
    expect(run.error?.message).toMatch(/step tell \(host-001\): .*1.* -> .*seven/);
    await setLabel('1');
    await stack.dataSource.query(`UPDATE credential SET version = version + 1 WHERE name = 'service-token'`);
    expect((await decide(two.id, 'approve', 'bob')).body.differences).toMatchObject([
      { kind: 'credential', subject: 'service-token', before: 'version 1', after: 'version 2' },
    ]);
    expect((await stack.ended(bySecret)).error?.code).toBe('plan-drift');
    expect(calls('after_drift')).toBe(0);
  }, 60_000);

  it('asks again where the step says so, and the old answers are void', async () => {
    await apply('asks-again', { targets, steps: [ask({ quorum: 2, onDrift: 'ask-again' }), tiered] });
    const runId = await start('asks-again', 'cy');
    const one = await asked(runId);
    expect((await decide(one.id, 'approve', 'ada')).body.state).toBe('open');
    await setLabel('eight');
    expect((await decide(one.id, 'approve', 'bob')).body.state).toBe('drifted');
    const two = await asked(runId, 2);
    expect(two.planDigest).not.toBe(one.planDigest);
    expect(two.decisions).toEqual([]);
    for (const as of ['ada', 'bob']) await decide(two.id, 'approve', as);
    expect(await stack.ended(runId)).toMatchObject({ state: 'succeeded' });
    await setLabel('1');
  }, 60_000);

  it('carries out the version of a called runbook that was shown, whatever is applied since', async () => {
    await apply('called', { steps: [get('old_way')] });
    await apply('caller', { steps: [ask(), { id: 'call', call: { runbook: 'called' } }] });
    const runId = await start('caller');
    const { id } = await asked(runId);
    await apply('called', { steps: [get('new_way')] });
    expect((await decide(id, 'approve', 'bob')).body.state).toBe('approved');
    expect(await stack.ended(runId)).toMatchObject({ state: 'succeeded' });
    expect([calls('old_way'), calls('new_way')]).toEqual([1, 0]);
  }, 60_000);

  it('keeps the run running while another branch is at work, and is withdrawn by a cancel', async () => {
    await apply('beside', {
      steps: [
        { id: 'both', parallel: { left: [ask()], right: [{ id: 'pause', wait: { duration: '1500ms' } }] } },
        get('after_both'),
      ],
    });
    const runId = await start('beside');
    const { id } = await asked(runId);
    const run = await stack.run(runId);
    expect(run).toMatchObject({ state: 'running', approvals: [{ id }] });
    await inState(runId, 'waiting-approval');
    expect((await call('POST', `/runs/${runId}/cancel`, { as: 'ada', body: {} })).status).toBe(202);
    expect(await stack.ended(runId)).toMatchObject({ state: 'cancelled' });
    expect((await decide(id, 'approve', 'bob')).body.code).toBe('approval-closed');
    expect((await call('GET', `/approvals/${id}`)).body.state).toBe('cancelled');
    expect(calls('after_both')).toBe(0);
  }, 60_000);

  it('survives the loss of the worker: decisions count, time runs out, and drift is seen when it is back', async () => {
    await apply('lost', { targets, steps: [ask({ expires: '1h' }), tiered] });
    await apply('lost-late', { steps: [ask({ expires: '3s' }), get('after_late')] });
    const [yes, changed, late] = [await start('lost'), await start('lost'), await start('lost-late')];
    const [one, two, three] = [await asked(yes), await asked(changed), await asked(late)];
    for (const id of [yes, changed, late]) await inState(id, 'waiting-approval');
    await worker.stop('SIGKILL');
    expect((await decide(one.id, 'approve', 'bob')).body.state).toBe('approved');
    worker = await stack.startWorker();
    expect(await stack.ended(yes)).toMatchObject({ state: 'succeeded' });
    await worker.stop('SIGKILL');
    expect((await decide(two.id, 'approve', 'bob')).body.state).toBe('approved');
    await setLabel('nine');
    await until('its time is over', async () => (Date.parse(three.expiresAt) < Date.now() - 500 ? true : null));
    expect((await call('GET', `/approvals/${three.id}`)).body.state).toBe('expired');
    expect((await decide(three.id, 'approve', 'bob')).body.code).toBe('approval-expired');
    worker = await stack.startWorker();
    expect(await stack.ended(late)).toMatchObject({ state: 'failed', error: { code: 'approval-expired' } });
    expect(await stack.ended(changed)).toMatchObject({ state: 'failed', error: { code: 'plan-drift' } });
    expect((await call('GET', `/approvals/${two.id}`)).body.state).toBe('drifted');
    await setLabel('1');
    expect(calls('after_late')).toBe(0);
  }, 120_000);
});
