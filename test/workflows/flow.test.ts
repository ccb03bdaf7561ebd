import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun, signalRun } from '@fettle/operations';
import type { RunDetail } from '@fettle/contracts';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('flow steps on a real server', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let service: ScriptedService;

  beforeAll(async () => {
    [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
    await stack.addHosts(sshd, 3);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    await service?.close();
  });

  const get = (id: string, path = `/${id}`, more: object = {}) => ({
    ...{ id, uses: 'http.request', with: { url: service.url(path) }, outputs: { status: 'result.status' } },
    ...more,
  });
  const ssh = (id: string, script: string, more: object = {}) => ({
    ...{ id, uses: 'ssh.script', with: { script, arguments: ['${{ asset.name }}'] } },
    ...more,
  });
  const targets = 'asset.kind == "server"';

  async function entries(runId: string): Promise<string[]> {
    const rows: { line: string }[] = await stack.dataSource.query(
      `SELECT kind || coalesce(' ' || step, '') || coalesce(' ' || t.asset_name, '') || coalesce(' ' || (data ->> 'state'), '') AS line
       FROM entry e LEFT JOIN run_target t USING (run_id, asset_id) WHERE run_id = $1 ORDER BY seq`,
      [runId],
    );
    return rows.map((row) => row.line);
  }

  function steps(run: RunDetail): string[] {
    return run.controlSteps.map(({ step, attempt, state }) => `${step} ${attempt} ${state}`);
  }

  function lineOf(run: RunDetail, target: number, step: string): number {
    return run.targets[target]!.steps.findIndex((one) => one.step === step);
  }

  async function outcome(runId: string): Promise<{ outputs: unknown; summary: string | null }> {
    const [row] = await stack.dataSource.query<{ outputs: unknown; summary: string | null }[]>(
      `SELECT outputs, summary FROM run WHERE id = $1`,
      [runId],
    );
    return row!;
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 300; tries += 1) {
      if (await holds()) return;
      await sleep(50);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  const hasEntry = (runId: string, line: string) => async () => (await entries(runId)).includes(line);

  it('goes through branches, loops and choices, with target steps in them', async () => {
    await stack.addRunbook('branches', {
      targets,
      steps: [
        get('first'),
        {
          id: 'both',
          parallel: {
            left: [get('left_one'), ssh('left_hosts', 'echo left')],
            right: [get('right_one'), ssh('right_hosts', 'echo right')],
          },
        },
        {
          id: 'each',
          forEach: {
            items: ['ber', 'muc'],
            as: 'site',
            steps: [get('ask', '/ask-${{ item.site }}'), ssh('do', 'echo "$1"')],
          },
          outputs: { states: 'result.map(one, one.state)' },
        },
        {
          id: 'way',
          choose: [
            { when: 'steps.first.status == 404', steps: [ssh('never', 'false')] },
            { steps: [ssh('always', 'true', { if: 'asset.name != "host-001"' })] },
          ],
        },
        { id: 'pause', wait: { duration: '50ms' } },
        { id: 'past', wait: { until: '2020-01-01T00:00:00Z' } },
      ],
      outputs: { states: 'steps.each.states', first: 'steps.first.status' },
      summary: 'came to ${{ steps.first.status }}',
    });
    const run = await stack.ended((await stack.start('branches')).id);
    expect(run.error).toBeNull();
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 3, pending: 0, running: 0 } });
    expect(steps(run).sort()).toEqual(
      [
        ...['first', 'left_one', 'right_one', 'each[ber]/ask', 'each[muc]/ask'].map((path) => `${path} 1 succeeded`),
        ...['pause 1 succeeded', 'past 1 succeeded'],
      ].sort(),
    );
    // The branches take turns on the targets, in no order that would be promised.
    const [left, right] = ['left_hosts', 'right_hosts'].sort((a, b) => lineOf(run, 0, a) - lineOf(run, 0, b)) as [
      string,
      string,
    ];
    expect(run.targets.map((target) => target.steps.map(({ step, state }) => `${step} ${state}`))).toEqual(
      [0, 1, 2].map((host) => [
        ...[left, right, 'each[ber]/do', 'each[muc]/do'].map((path) => `${path} succeeded`),
        `always ${host === 1 ? 'skipped' : 'succeeded'}`,
      ]),
    );
    const lines = await entries(run.id);
    expect(lines.filter((line) => /^(branch|iteration)/.test(line))).toEqual([
      'iteration-started each[ber]',
      'iteration-started each[muc]',
      'branch-chosen way',
    ]);
    expect(await outcome(run.id)).toEqual({
      outputs: { states: ['succeeded', 'succeeded'], first: 200 },
      summary: 'came to 200',
    });
  });

  it('catches what fails on the run and on each target, and goes through finally', async () => {
    service.script('/broken', () => ({ status: 500 }));
    await stack.addRunbook('handlers', {
      targets,
      handlers: { mend: [ssh('mend_host', 'test "$1" != host-002')] },
      steps: [
        {
          id: 'guarded',
          try: [get('broken')],
          catch: [get('caught', '/caught-${{ error.code }}')],
          finally: [get('always')],
        },
        ssh('risky', 'test "$1" = host-000', { onError: 'mend' }),
        {
          id: 'each_host',
          try: [ssh('body', 'exit 3')],
          catch: [{ id: 'say', uses: 'ssh.run', with: { argv: ['echo', '${{ error.step }}: ${{ error.code }}'] } }],
          finally: [ssh('clean', 'true')],
        },
      ],
    });
    const run = await stack.ended((await stack.start('handlers')).id);
    expect(steps(run)).toEqual(['broken 1 failed', 'caught 1 succeeded', 'always 1 succeeded']);
    expect(service.calls.filter((path) => path.startsWith('/caught'))).toEqual(['/caught-http-status']);
    expect(run).toMatchObject({
      state: 'failed',
      counts: { succeeded: 2, failed: 1 },
      error: { code: 'targets-failed' },
    });
    const [first, second, third] = run.targets.map((target) => target.steps.map(({ step }) => step));
    const rest = ['body', 'say', 'clean'];
    expect(first).toEqual(['risky', ...rest]);
    expect(second).toEqual(['risky', 'risky!mend/mend_host', ...rest]);
    expect(third).toEqual(['risky', 'risky!mend/mend_host']);
    expect(await entries(run.id)).toContain('failure-caught guarded');
    const logs: { body: string }[] = await stack.dataSource.query(
      `SELECT body FROM run_log WHERE run_id = $1 AND step = 'say'`,
      [run.id],
    );
    expect(logs.map(({ body }) => body.trim())).toEqual(['body: command-failed', 'body: command-failed']);
  });

  it('puts the failure of a target off until it has been through finally', async () => {
    await stack.addRunbook('put-off', {
      targets,
      steps: [{ id: 'guarded', try: [ssh('body', 'exit 3')], finally: [ssh('clean', 'true')] }, ssh('after', 'true')],
    });
    const run = await stack.ended((await stack.start('put-off')).id);
    expect(run).toMatchObject({ state: 'failed', counts: { failed: 3 } });
    for (const target of run.targets) {
      expect(target.steps.map(({ step, state }) => `${step} ${state}`)).toEqual(['body failed', 'clean succeeded']);
      expect(target.error).toMatchObject({ code: 'command-failed' });
    }
  });

  it('looks until a condition holds', async () => {
    service.script('/ready', (call) => ({ status: call < 3 ? 503 : 200, body: 'up' }));
    service.script('/never', () => ({ status: 200, body: 'no' }));
    await stack.addRunbook('polls', {
      steps: [
        {
          id: 'ready',
          wait: {
            uses: 'http.request',
            with: { url: service.url('/ready') },
            ...{ condition: 'result.body == "up"', every: '100ms', timeout: '20s' },
          },
          outputs: { body: 'result.body' },
        },
        {
          id: 'never',
          onError: 'continue',
          wait: {
            uses: 'http.request',
            with: { url: service.url('/never') },
            ...{ condition: 'result.body == "up"', every: '200ms', timeout: '1s' },
          },
        },
      ],
      outputs: { body: 'steps.ready.body' },
    });
    const run = await stack.ended((await stack.start('polls')).id);
    expect(run).toMatchObject({ state: 'succeeded' });
    expect(steps(run).slice(0, 3)).toEqual(['ready 1 failed', 'ready 2 failed', 'ready 3 succeeded']);
    expect(await outcome(run.id)).toMatchObject({ outputs: { body: 'up' } });
  });

  it('waits for signals, also one that came before, and refuses what does not fit', async () => {
    await stack.addRunbook('signals', {
      steps: [
        {
          id: 'go',
          wait: {
            signal: 'go',
            payload: { type: 'object', properties: { size: { type: 'integer' } }, required: ['size'] },
            timeout: '60s',
          },
          outputs: { size: 'result.size' },
        },
        { id: 'early', wait: { signal: 'early', timeout: '60s' } },
        { id: 'late', wait: { signal: 'late', timeout: '300ms' }, onError: 'continue' },
      ],
      outputs: { size: 'steps.go.size' },
    });
    const { id } = await stack.start('signals');
    await until('the step waits', hasEntry(id, 'step-started go'));
    const send = (name: string, payload: unknown) =>
      stack.inTransaction((context) => signalRun(context, id, { name, payload }));
    await expect(send('nobody', {})).rejects.toMatchObject({ code: 'no-such-signal' });
    await expect(send('go', { size: 'big' })).rejects.toMatchObject({ code: 'invalid-payload' });
    await send('early', {});
    await send('go', { size: 7 });
    const run = await stack.ended(id);
    expect(run).toMatchObject({ state: 'succeeded' });
    expect(steps(run)).toEqual(['go 1 succeeded', 'early 1 succeeded', 'late 1 failed']);
    expect(run.controlSteps[2]?.error).toMatchObject({ code: 'signal-timeout' });
    expect(await outcome(id)).toMatchObject({ outputs: { size: 7 } });
    const audited: { action: string }[] = await stack.dataSource.query(
      `SELECT action FROM audit_record WHERE object_name = $1 ORDER BY at`,
      [id],
    );
    expect(audited.map(({ action }) => action)).toEqual(['run.start', 'run.signal', 'run.signal']);
  });

  it('calls another runbook as a run of its own, with the version that was there at the start', async () => {
    await stack.addRunbook('called', {
      inputs: { type: 'object', properties: { who: { type: 'string' } }, required: ['who'] },
      targets,
      steps: [get('inner', '/inner-${{ inputs.who }}'), ssh('hosts', 'test "$1" != host-002')],
      outputs: { status: 'steps.inner.status' },
    });
    await stack.addRunbook('called-well', { steps: [get('inner')], outputs: { status: 'steps.inner.status' } });
    const call = (id: string, runbook: string, more: object = {}) => ({
      ...{ id, call: { runbook, ...more }, outputs: { status: 'result.status' } },
    });
    await stack.addRunbook('calls', {
      targets,
      steps: [
        ssh('before', 'test "$1" != host-001'),
        call('well', 'called-well'),
        { ...call('inherits', 'called', { inputs: { who: 'me' }, targets: 'inherit' }), onError: 'continue' },
        { ...call('refused', 'called', { inputs: {} }), onError: 'continue' },
      ],
      outputs: { status: 'steps.well.status' },
    });
    const run = await stack.ended((await stack.start('calls')).id);
    expect(steps(run)).toEqual(['well 1 succeeded', 'inherits 1 failed', 'refused 1 failed']);
    expect(run.controlSteps.map((step) => step.error?.code)).toEqual([undefined, 'sub-run-failed', 'invalid-inputs']);
    expect(await outcome(run.id)).toMatchObject({ outputs: { status: 200 } });
    const below: { runbook: string; path: string; depth: number; targets: string[] }[] = await stack.dataSource.query(
      `SELECT r.runbook, r.parent_path AS path, r.depth,
         (SELECT coalesce(array_agg(asset_name ORDER BY asset_name), '{}') FROM run_target t WHERE t.run_id = r.id) AS targets
       FROM run r WHERE r.parent_run_id = $1 ORDER BY r.id`,
      [run.id],
    );
    expect(below).toEqual([
      { runbook: 'called-well', path: 'well', depth: 1, targets: [] },
      { runbook: 'called', path: 'inherits', depth: 1, targets: ['host-000', 'host-002'] },
    ]);
  });

  it('cancels branches, sub-runs and waits, goes through finally, and is over only then', async () => {
    service.script('/slow', () => ({ status: 200, afterMs: 60_000 }));
    await stack.addRunbook('sleeps', { targets, steps: [ssh('asleep', 'sleep 60')] });
    await stack.addRunbook('cancelled', {
      targets,
      steps: [
        {
          id: 'guarded',
          try: [
            {
              id: 'all',
              parallel: {
                call: [{ id: 'sub', call: { runbook: 'sleeps' } }],
                host: [ssh('on_hosts', 'sleep 60')],
                http: [get('slow')],
                pause: [{ id: 'long', wait: { duration: '1h' } }],
                signal: [{ id: 'signal', wait: { signal: 'never', timeout: '1h' } }],
              },
            },
          ],
          finally: [get('undo'), ssh('clean', 'true')],
        },
        get('not_reached'),
      ],
    });
    const { id } = await stack.start('cancelled');
    await until('the signal is waited for', hasEntry(id, 'step-started signal'));
    await until('a host sleeps', hasEntry(id, 'step-started on_hosts host-000'));
    await until('it is called', hasEntry(id, 'run-called sub'));
    await sleep(500);
    await stack.inTransaction((context) => cancelRun(context, id, {}));
    const run = await stack.ended(id, 60_000);
    expect(run.state).toBe('cancelled');
    expect(steps(run).sort()).toEqual([
      'long 1 cancelled',
      'signal 1 cancelled',
      'slow 1 cancelled',
      'sub 1 cancelled',
      'undo 1 succeeded',
    ]);
    const below: { state: string }[] = await stack.dataSource.query(`SELECT state FROM run WHERE parent_run_id = $1`, [
      id,
    ]);
    expect(below).toEqual([{ state: 'cancelled' }]);
    expect(service.calls).not.toContain('/not_reached');
    expect((await entries(id)).at(-1)).toBe('run-ended cancelled');
  }, 90_000);
});
