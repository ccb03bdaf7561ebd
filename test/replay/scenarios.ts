import { setTimeout as sleep } from 'node:timers/promises';
import { cancelRun, decideApproval, listApprovals, signalRun, type OperationContext } from '@fettle/operations';
import type { ScriptedService } from '../support/scripted-service.js';
import type { TestStack } from '../support/stack.js';

type Spec = Record<string, unknown>;
const PATIENCE_MS = 150_000;

/** What scenarios are played on: a stack with three hosts and a service that control steps call. */
export class Stage {
  constructor(
    readonly stack: TestStack,
    readonly service: ScriptedService,
  ) {}

  /** A control step that the service answers. */
  get(id: string, path = `/${id}`, more: Spec = {}): Spec {
    return { id, uses: 'http.request', with: { url: this.service.url(path) }, ...more };
  }

  /** A step on each target; its script has the target's name as `$1`. */
  on(id: string, script: string, more: Spec = {}): Spec {
    return { id, uses: 'ssh.script', with: { script, arguments: ['${{ asset.name }}'] }, ...more };
  }

  async start(runbook: string, spec: Spec): Promise<string> {
    await this.stack.addRunbook(runbook, spec);
    return (await this.stack.start(runbook)).id;
  }

  async ends(runId: string, state: string): Promise<string> {
    const run = await this.stack.ended(runId, PATIENCE_MS);
    if (run.state !== state) throw new Error(`${run.runbook} ended ${run.state}: ${JSON.stringify(run.error)}`);
    return runId;
  }

  cancel(runId: string): Promise<unknown> {
    return this.act((context) => cancelRun(context, runId, {}));
  }

  act<Result>(work: (context: OperationContext) => Promise<Result>): Promise<Result> {
    return this.stack.inTransaction(work);
  }

  entry(runId: string, kind: string, step: string): Promise<void> {
    return this.until(`${kind} ${step}`, async () => {
      const rows: unknown[] = await this.stack.dataSource.query(
        `SELECT 1 FROM entry WHERE run_id = $1 AND kind = $2 AND step = $3`,
        [runId, kind, step],
      );
      return rows.length > 0;
    });
  }

  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const giveUpAtMs = Date.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (Date.now() > giveUpAtMs) throw new Error(`it never came to be: ${what}`);
      await sleep(50);
    }
  }
}

/** No run has to wait for another one's locks, so that all can be played beside each other. */
const onHosts = { targets: 'asset.labels.group == "host"', assetLock: 'shared' };

/**
 * What is recorded of `runRunbook`: together all kinds of steps and the ways in which a run ends. Each returns its runs; those that they
 * called are recorded as well. A new kind of step gets a scenario here.
 */
export const scenarios: Readonly<Record<string, (stage: Stage) => Promise<readonly string[]>>> = {
  async rollout(stage) {
    const id = await stage.start('rollout', {
      ...onHosts,
      rollout: { waves: [1, '100%'], soak: '50ms', orderBy: 'asset.name' },
      steps: [
        stage.on('first', 'true', { if: 'asset.name != "host-001"' }),
        stage.on('again', 'f="$HOME/replay-$1"; echo x >> "$f"; [ "$(wc -l < "$f")" -ge 2 ]', {
          retry: { maxAttempts: 3, backoff: '100ms' },
        }),
      ],
    });
    return [await stage.ends(id, 'succeeded')];
  },

  async stops(stage) {
    const id = await stage.start('stops', {
      ...onHosts,
      rollout: { maxConcurrency: 1, maxFailures: 0, orderBy: 'asset.name' },
      steps: [stage.on('fails', 'exit 3')],
    });
    return [await stage.ends(id, 'failed')];
  },

  async flow(stage) {
    stage.service.script('/ready', (call) => ({ status: call < 3 ? 503 : 200, body: 'up' }));
    stage.service.script('/broken', () => ({ status: 500 }));
    await stage.stack.addRunbook('flow-sub', {
      inputs: { type: 'object', properties: { n: { type: 'integer' } } },
      steps: [{ id: 'rest', wait: { duration: '20ms' } }],
      outputs: { n: 'inputs.n + 1' },
    });
    const id = await stage.start('flow', {
      ...onHosts,
      steps: [
        stage.get('first', '/first', { outputs: { status: 'result.status' } }),
        { id: 'both', parallel: { left: [stage.get('l'), stage.on('lh', 'true')], right: [stage.on('rh', 'true')] } },
        {
          id: 'each',
          forEach: {
            items: ['ber', 'muc'],
            as: 'site',
            concurrency: 2,
            steps: [stage.get('ask', '/${{ item.site }}')],
          },
        },
        {
          id: 'way',
          choose: [{ when: 'steps.first.status == 404', steps: [stage.get('no')] }, { steps: [stage.get('yes')] }],
        },
        { id: 'guarded', try: [stage.get('broken')], catch: [stage.get('caught')], finally: [stage.get('always')] },
        { id: 'hosts', try: [stage.on('body', 'test "$1" = host-000')], catch: [stage.on('mend', 'true')] },
        stage.get('goes_on', '/broken', { onError: 'continue', retry: { maxAttempts: 2, backoff: '50ms' } }),
        { id: 'sub', call: { runbook: 'flow-sub', inputs: { n: 1 } }, outputs: { n: 'result.n' } },
        { id: 'pause', wait: { duration: '50ms' } },
        { id: 'past', wait: { until: '2020-01-01T00:00:00Z' } },
        { id: 'never', if: 'steps.sub.n == 1', wait: { duration: '1h' } },
        {
          id: 'ready',
          wait: {
            ...{ uses: 'http.request', with: { url: stage.service.url('/ready') }, condition: 'result.body == "up"' },
            ...{ every: '50ms', timeout: '30s' },
          },
        },
        { id: 'go', wait: { signal: 'go', timeout: '60s' } },
        { id: 'late', wait: { signal: 'late', timeout: '200ms' }, onError: 'continue' },
      ],
      summary: 'came to ${{ steps.first.status }}',
    });
    await stage.entry(id, 'step-started', 'go');
    await stage.act((context) => signalRun(context, id, { name: 'go', payload: {} }));
    return [await stage.ends(id, 'succeeded')];
  },

  async cancel(stage) {
    await stage.stack.addRunbook('cancel-sub', { steps: [{ id: 'rest', wait: { duration: '1h' } }] });
    const id = await stage.start('cancel', {
      ...onHosts,
      steps: [
        {
          id: 'guarded',
          try: [
            {
              id: 'all',
              parallel: {
                hosts: [stage.on('asleep', 'sleep 60')],
                called: [{ id: 'sub', call: { runbook: 'cancel-sub' } }],
                pause: [{ id: 'pause', wait: { duration: '1h' } }],
              },
            },
          ],
          finally: [stage.get('clean')],
        },
      ],
    });
    await Promise.all([stage.entry(id, 'step-started', 'asleep'), stage.entry(id, 'run-called', 'sub')]);
    await stage.cancel(id);
    return [await stage.ends(id, 'cancelled')];
  },

  async timeout(stage) {
    const id = await stage.start('timeout', { timeout: '1s', steps: [{ id: 'pause', wait: { duration: '1h' } }] });
    return [await stage.ends(id, 'timed-out')];
  },

  async rollback(stage) {
    stage.service.script('/broken', () => ({ status: 500 }));
    const order = stage.get('order', '/order', {
      with: { url: stage.service.url('/order'), method: 'POST' },
      rollback: { uses: 'http.request', with: { url: stage.service.url('/undo'), method: 'POST' } },
    });
    const place = stage.on('place', 'true', { rollback: { uses: 'ssh.run', with: { argv: ['true'] } } });
    const id = await stage.start('rollback', {
      ...onHosts,
      rollback: 'all',
      steps: [order, place, stage.get('broken')],
    });
    return [await stage.ends(id, 'failed')];
  },

  async approval(stage) {
    const ask = { id: 'ask', approval: { roles: ['admin'], allowSelf: true } };
    const ids = [
      await stage.start('approved', { steps: [ask, stage.get('after')] }),
      await stage.start('rejected', { steps: [ask, stage.get('after')] }),
    ];
    for (const [id, decision] of [
      [ids[0]!, { decision: 'approve' }],
      [ids[1]!, { decision: 'reject', reason: 'no' }],
    ] as const) {
      await stage.until('it asks', async () => (await stage.stack.run(id)).state === 'waiting-approval');
      await stage.act(async (context) => {
        const { items } = await listApprovals(context, {
          space: 'default',
          runId: id,
          state: 'open',
          mine: false,
          limit: 1,
        });
        return decideApproval(context, items[0]!.id, decision);
      });
    }
    return [await stage.ends(ids[0]!, 'succeeded'), await stage.ends(ids[1]!, 'failed')];
  },

  async capacity(stage) {
    const steps = [{ ...stage.on('hold', 'sleep 0.5'), capacity: ['db:replay'] }];
    const shared = { ...onHosts, rollout: { maxConcurrency: 3 }, steps };
    const ids = [await stage.start('capacity-a', shared), await stage.start('capacity-b', shared)];
    return Promise.all(ids.map((id) => stage.ends(id, 'succeeded')));
  },

  async detached(stage) {
    const id = await stage.start('detached', {
      ...onHosts,
      steps: [stage.on('long', '[ "$1" = host-000 ] || exit 0; sleep 23', { timeout: '2m' })],
    });
    return [await stage.ends(id, 'succeeded')];
  },

  async 'detached-cancel'(stage) {
    const id = await stage.start('detached-cancel', {
      ...onHosts,
      steps: [stage.on('long', 'sleep 100', { timeout: '3m' })],
    });
    await stage.entry(id, 'step-started', 'long');
    await stage.cancel(id);
    return [await stage.ends(id, 'cancelled')];
  },
};

/** Played on a server that asks for a new execution after few events: runs that go on in another one. */
export const longScenarios: typeof scenarios = {
  async 'long-rollout'(stage) {
    const id = await stage.start('long-rollout', {
      ...onHosts,
      rollout: { waves: [1, '100%'] },
      steps: [
        stage.on('third_time', 'f="$HOME/long-$1"; echo x >> "$f"; [ "$(wc -l < "$f")" -ge 3 ]', {
          // Long enough for the lane to come back to the workflow.
          retry: { maxAttempts: 3, backoff: '3s', maxBackoff: '3s' },
        }),
      ],
    });
    return [await stage.ends(id, 'succeeded')];
  },

  async 'long-flow'(stage) {
    await stage.stack.addRunbook('long-flow-sub', { steps: [{ id: 'rest', wait: { duration: '2s' } }] });
    const id = await stage.start('long-flow', {
      ...onHosts,
      steps: [
        {
          id: 'all',
          parallel: {
            each: [{ id: 'each', forEach: { items: ['a', 'b', 'c'], as: 'one', steps: [stage.on('host', 'true')] } }],
            call: [{ id: 'sub', call: { runbook: 'long-flow-sub' } }],
            pause: [{ id: 'pause', wait: { duration: '2s' } }],
            signal: [{ id: 'signal', wait: { signal: 'go', timeout: '60s' } }],
          },
        },
        { id: 'guarded', try: [{ id: 'long', wait: { duration: '1h' } }], finally: [stage.on('clean', 'true')] },
      ],
    });
    await stage.entry(id, 'iteration-started', 'each[c]');
    await stage.act((context) => signalRun(context, id, { name: 'go', payload: {} }));
    await stage.entry(id, 'step-started', 'long');
    await stage.cancel(id);
    return [await stage.ends(id, 'cancelled')];
  },
};
