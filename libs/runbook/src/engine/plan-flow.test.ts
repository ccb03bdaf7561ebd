import { describe, expect, it } from '@jest/globals';
import { planSchema, runbookSpecSchema } from '@fettle/contracts';
import { planProgram, walkPlan } from './plan.js';
import type { PlannedRunbook, PlanRequest } from './plan-request.js';
import { actionAt, nodeAt, request, shown, target } from './plan-testing.js';

const run = (id: string, more: Readonly<Record<string, unknown>> = {}) => ({
  id,
  uses: 'ssh.run',
  with: { argv: ['x'] },
  ...more,
});
const call = (id: string, url = 'u') => ({ id, uses: 'http.request', with: { url } });
const paths = (steps: readonly unknown[], more: Partial<PlanRequest> = {}): string[] =>
  [...walkPlan(planProgram(request(steps, more)).steps)].map(({ path }) => path);

describe('a plan of flow steps', () => {
  it('shows the branches of parallel, of which none knows another', () => {
    const plan = planProgram(
      request([
        { id: 'both', parallel: { b: [run('two')], a: [call('one'), run('three')] } },
        run('after', { with: { argv: ['${{ steps.one.status }}'] } }),
      ]),
    );
    expect(planSchema.parse(plan)).toEqual(plan);
    expect(nodeAt(plan, 'both')).toMatchObject({ gate: { outcome: 'run' }, branches: [{ name: 'a' }, { name: 'b' }] });
    expect(actionAt(plan, 'after').variants).toMatchObject([{ knownAfter: ['one'] }, {}, {}]);
  });

  it('unrolls forEach over known items', () => {
    const each = (items: unknown) => [
      { id: 'each', forEach: { items, as: 'site', steps: [call('go', 'https://${{ item.site }}')] } },
    ];
    expect(paths(each(['ber', 'muc']))).toEqual(['each', 'each[ber]/go', 'each[muc]/go']);
    const plan = planProgram(request(each('inputs.sites'), { inputs: { sites: ['ber', 'a b', 'ber'] } }));
    expect(nodeAt(plan, 'each')).toMatchObject({ iterations: [{ key: '0' }, { key: '1' }, { key: '2' }] });
    expect(actionAt(plan, 'each[1]/go').variants).toMatchObject([{ rendered: { calls: [{ url: 'https://a b' }] } }]);
    const wrong = planProgram(request([...each('inputs.path'), call('after')]));
    expect(nodeAt(wrong, 'each')).toMatchObject({ gate: { outcome: 'fail', error: { code: 'invalid-items' } } });
    expect(actionAt(wrong, 'after').variants).toMatchObject([{ outcome: 'not-reached', after: 'each' }]);
  });

  it('shows forEach over items that are not known once', () => {
    const plan = planProgram(
      request([
        call('list'),
        {
          id: 'each',
          forEach: {
            items: 'steps.list.sites',
            as: 'site',
            steps: [call('go', 'https://${{ item.site }}'), run('on', { if: 'item.site == asset.name' })],
          },
        },
      ]),
    );
    expect(nodeAt(plan, 'each')).toMatchObject({ knownAfter: ['list'], iterations: [{ key: null, item: null }] });
    expect(actionAt(plan, 'each[*]/go').variants).toMatchObject([
      { knownAfter: ['list'], rendered: { calls: [{ url: '(known after list)' }] } },
    ]);
    expect(actionAt(plan, 'each[*]/on').variants).toMatchObject([{ outcome: 'run', knownAfter: ['list'] }, {}, {}]);
  });

  it('shows the branch that choose takes, and all that it may take', () => {
    const steps = (when: string) => [
      call('ask'),
      { id: 'pick', choose: [{ when, steps: [call('yes')] }, { steps: [call('no')] }] },
      call('after', '${{ steps.yes.status }}'),
    ];
    expect(paths(steps('inputs.path == "/tmp/x"'))).toEqual(['ask', 'pick', 'yes', 'after']);
    const other = planProgram(request(steps('inputs.path == "/"')));
    expect(nodeAt(other, 'pick')).toMatchObject({ branches: [{ taken: 'no', steps: [] }, { taken: 'yes' }] });
    // What is not carried out yields nothing.
    expect(actionAt(other, 'after').variants).toMatchObject([{ outcome: 'fail', error: { code: 'unknown-value' } }]);
    const open = planProgram(request(steps('steps.ask.status == 200')));
    expect(nodeAt(open, 'pick')).toMatchObject({
      branches: [
        { when: 'steps.ask.status == 200', taken: 'perhaps', knownAfter: ['ask'] },
        { when: null, taken: 'perhaps' },
      ],
    });
    expect(actionAt(open, 'after').variants).toMatchObject([{ outcome: 'run', knownAfter: ['yes'] }]);
  });

  it('shows catch and finally, and what a certain failure leads to', () => {
    const plan = planProgram(
      request([
        {
          id: 'guard',
          try: [call('bad', '${{ 5 }}'), call('never')],
          catch: [call('mend', '${{ error.code }}')],
          finally: [call('last')],
        },
        call('after'),
      ]),
    );
    expect(actionAt(plan, 'never').variants).toMatchObject([{ outcome: 'not-reached', after: 'bad' }]);
    expect(actionAt(plan, 'mend').variants).toMatchObject([{ outcome: 'run', knownAfter: ['the failure'] }]);
    for (const path of ['last', 'after']) expect(actionAt(plan, path).variants).toMatchObject([{ outcome: 'run' }]);
    const bare = planProgram(
      request([{ id: 'guard', try: [call('bad', '${{ 5 }}')], finally: [call('last')] }, call('after')]),
    );
    expect(actionAt(bare, 'last').variants).toMatchObject([{ outcome: 'run' }]);
    expect(actionAt(bare, 'after').variants).toMatchObject([{ outcome: 'not-reached' }]);
  });

  it('shows a handler with the step that names it', () => {
    const rest = { handlers: { mend: [run('undo')] } };
    const plan = planProgram(request([run('change', { onError: 'mend' }), run('after')], { rest }));
    expect(nodeAt(plan, 'change')).toMatchObject({ handler: { name: 'mend', steps: [{ path: 'change!mend/undo' }] } });
    const failing = run('change', { onError: 'mend', if: 'asset.labels.role == "app"' });
    const other = planProgram(request([failing, run('after')], { rest }));
    expect(shown(actionAt(other, 'change')).sort()).toEqual(['fail: web-3', 'run: web-2', 'skip: web-1']);
    expect(shown(actionAt(other, 'after'))).toHaveLength(3);
  });

  it('does not come to what a condition leaves out', () => {
    const plan = planProgram(
      request([
        { id: 'flow', if: 'inputs.path == "/"', parallel: { a: [call('one')], b: [call('two')] } },
        call('after'),
      ]),
    );
    expect(nodeAt(plan, 'flow')).toMatchObject({ gate: { outcome: 'skip' }, branches: [] });
  });

  it('lists approvals, waits and capacity', () => {
    const plan = planProgram(
      request(
        [
          { id: 'ok', approval: { message: 'Restart ${{ inputs.path }}?', roles: ['operator'], quorum: 2 } },
          { id: 'pause', wait: { duration: '5m' }, capacity: ['db', { key: 'site', units: 2 }] },
          { id: 'poll', wait: { uses: 'http.request', with: { url: 'u' }, condition: 'result.status == 200' } },
          { id: 'bell', wait: { signal: 'go' } },
        ],
        { rest: { capacity: ['whole'] } },
      ),
    );
    expect(plan.approvals).toEqual([{ path: 'ok', message: 'Restart /tmp/x?' }]);
    expect(plan.capacity.wants).toEqual([
      { path: '', key: 'whole', units: 1 },
      { path: 'pause', key: 'db', units: 1 },
      { path: 'pause', key: 'site', units: 2 },
    ]);
    expect(nodeAt(plan, 'ok')).toMatchObject({ quorum: 2, allowSelf: false, expires: '24h' });
    expect(nodeAt(plan, 'poll')).toMatchObject({
      waitsFor: 'condition',
      look: { outcome: 'run', effect: 'read-only' },
    });
  });

  it('computes the keys of capacity as far as they are known', () => {
    const nap = (id: string, capacity: unknown) => ({ id, wait: { duration: '1m' }, capacity });
    const each = (id: string, items: string) => ({
      id,
      forEach: { items, as: 'site', steps: [nap('nap', ['site:${{ item.site }}'])] },
    });
    const plan = planProgram(
      request(
        [
          call('list'),
          run('use', { capacity: [{ key: 'db:${{ inputs.db }}', units: 2 }, 'site:${{ steps.list.site }}'] }),
          each('known', 'inputs.sites'),
          each('later', 'steps.list.sites'),
          nap('never', ['site:${{ inputs.nowhere }}', 'site:fix']),
        ],
        {
          rest: { capacity: ['db:${{ inputs.db }}', 'run:${{ run.id }}'] },
          inputs: { db: 'billing', sites: ['ber', 'muc'] },
        },
      ),
    );
    expect(planSchema.parse(plan)).toEqual(plan);
    expect(plan.capacity.wants).toEqual([
      { path: '', key: 'db:billing', units: 1 },
      { path: '', key: '(known after the start)', units: 1, knownAfter: ['the start'] },
      { path: 'use', key: 'db:billing', units: 2 },
      { path: 'use', key: '(known after list)', units: 1, knownAfter: ['list'] },
      { path: 'known[ber]/nap', key: 'site:ber', units: 1 },
      { path: 'known[muc]/nap', key: 'site:muc', units: 1 },
      { path: 'later[*]/nap', key: '(known after list)', units: 1, knownAfter: ['list'] },
      // It cannot be computed, which the run says where it comes there.
      { path: 'never', key: 'site:${{ inputs.nowhere }}', units: 1 },
      { path: 'never', key: 'site:fix', units: 1 },
    ]);
  });

  it('plans the rollback of what is done', () => {
    const rollback = { uses: 'ssh.run', with: { argv: ['undo', '${{ steps.change.stdout }}', '${{ inputs.path }}'] } };
    const plan = planProgram(
      request([
        run('change', { rollback, if: 'asset.name != "web-2"' }),
        run('other', { rollback: { none: 'it only adds' } }),
      ]),
    );
    expect(actionAt(plan, 'change').rollback).toMatchObject({
      kind: 'step',
      variants: [
        { rendered: { argv: [['on', 'web-1', 'undo', '(known after change)', '/tmp/x']] } },
        { targets: ['web-3'] },
      ],
    });
    expect(actionAt(plan, 'other').rollback).toEqual({ kind: 'none', reason: 'it only adds' });
  });
});

describe('a plan of calls', () => {
  const book = (name: string, steps: readonly unknown[], targets = request([run('x')]).targets): PlannedRunbook => ({
    name,
    version: `sha256:${name}`,
    spec: runbookSpecSchema.parse({ targets: 'true', steps }),
    targets,
  });
  const calling = (
    call: Readonly<Record<string, unknown>>,
    called: readonly PlannedRunbook[],
    before: readonly unknown[] = [],
  ) =>
    planProgram(
      request([...before, { id: 'sub', call: { runbook: 'inner', ...call } }, run('after')], {
        called: new Map(called.map((one) => [one.name, one])),
        checkInputs: (_spec, inputs) =>
          'bad' in inputs ? { error: 'bad is not an input' } : { inputs: { ...inputs, given: true } },
      }),
    );

  it('shows the called runbook with its own targets and inputs', () => {
    const inner = book('inner', [run('deep', { with: { argv: ['${{ inputs.word }}'] } })]);
    const plan = calling({ inputs: { word: '${{ inputs.path }}' }, on: 'asset.name != "web-1"' }, [inner]);
    expect(planSchema.parse(plan)).toEqual(plan);
    expect(nodeAt(plan, 'sub')).toMatchObject({
      version: 'sha256:inner',
      inputs: { word: '/tmp/x', given: true },
      targets: { count: 2, names: ['web-2', 'web-3'] },
    });
    expect(actionAt(plan, 'sub/deep').variants).toMatchObject([
      { rendered: { argv: [['on', 'web-2', '/tmp/x']] } },
      {},
    ]);
    expect(plan.closure.runbooks).toEqual([
      { name: 'book', version: 'sha256:1' },
      { name: 'inner', version: 'sha256:inner' },
    ]);
  });

  it('inherits the targets that are still in the run', () => {
    const inner = book('inner', [run('deep')], [target('a', 'web-1'), target('c', 'web-3'), target('z', 'other')]);
    const plan = calling({ targets: 'inherit' }, [inner], [run('fails', { if: 'asset.labels.role == "web"' })]);
    expect(nodeAt(plan, 'sub')).toMatchObject({ targets: { names: ['web-1'] } });
  });

  it('takes inputs that are not known yet as known later', () => {
    const inner = book('inner', [
      run('reads', { with: { argv: ['${{ inputs.word }}', '${{ inputs.fixed }}'] } }),
      run('asks', { if: 'inputs.fixed == "y" && inputs.word == "z"' }),
    ]);
    const plan = calling({ inputs: { word: '${{ steps.list.body }}', fixed: 'x' } }, [inner], [call('list')]);
    expect(nodeAt(plan, 'sub')).toMatchObject({ knownAfter: ['list'] });
    expect(actionAt(plan, 'sub/reads').variants[0]).toMatchObject({
      knownAfter: ['list'],
      rendered: { argv: [['on', 'web-1', '(known after list)', 'x']] },
    });
    expect(actionAt(plan, 'sub/asks').variants).toMatchObject([{ outcome: 'skip' }]);
  });

  it('refuses what it cannot follow', () => {
    expect(nodeAt(calling({}, []), 'sub')).toMatchObject({ gate: { error: { code: 'not-found' } } });
    const bad = calling({ inputs: { bad: 1 } }, [book('inner', [run('deep')])]);
    expect(nodeAt(bad, 'sub')).toMatchObject({ gate: { error: { code: 'invalid-inputs' } } });
    expect(actionAt(bad, 'after').variants).toMatchObject([{ outcome: 'not-reached', after: 'sub' }]);
    const loop = calling({}, [book('inner', [{ id: 'again', call: { runbook: 'inner' } }])]);
    expect(nodeAt(loop, 'sub/again')).toMatchObject({ gate: { error: { code: 'call-cycle' } } });
  });
});
