import { describe, expect, it } from '@jest/globals';
import { planSchema } from '@fettle/contracts';
import { planProgram, planSummary } from './plan.js';
import { diffPlans } from './plan-diff.js';
import { planDigest, targetSetDigest } from './plan-digest.js';
import { describeRendered } from './plan-text.js';
import { actionAt, request, shown, target } from './plan-testing.js';

const run = (id: string, more: Readonly<Record<string, unknown>> = {}) => ({
  id,
  uses: 'ssh.run',
  with: { argv: ['x'] },
  ...more,
});

describe('planProgram', () => {
  it('renders each step for each target through the contract, equal ones once', () => {
    const plan = planProgram(
      request([
        { id: 'look', uses: 'ssh.run', with: { argv: ['stat', '${{ inputs.path }}'], effect: 'read-only' } },
        {
          id: 'change',
          uses: 'ssh.run',
          if: 'asset.labels.role == "web"',
          with: { argv: ['touch', '${{ asset.name }}'] },
        },
        { id: 'gather', uses: 'asset.gather' },
        { id: 'call', uses: 'http.request', with: { url: 'https://x${{ inputs.path }}' } },
      ]),
    );
    expect(planSchema.parse(plan)).toEqual(plan);
    expect(plan.targets).toEqual({
      count: 3,
      digest: targetSetDigest(['a', 'b', 'c']),
      undetermined: 0,
      items: [
        { assetId: 'a', name: 'web-1' },
        { assetId: 'b', name: 'web-2' },
        { assetId: 'c', name: 'web-3' },
      ],
    });
    expect(actionAt(plan, 'look').variants[0]).toEqual({
      outcome: 'run',
      effect: 'read-only',
      rendered: { argv: [['on', 'web-1', 'stat', '/tmp/x']], files: [], calls: [] },
      inputDigest: expect.stringMatching(/^sha256:/),
      knownAfter: [],
      count: 1,
      targets: ['web-1'],
    });
    expect(shown(actionAt(plan, 'change'))).toEqual(['run: web-1', 'skip: web-2', 'fail: web-3']);
    // What fails before it, a target does not come to.
    expect(actionAt(plan, 'gather').variants).toMatchObject([
      { outcome: 'run', count: 2, targets: ['web-1', 'web-2'] },
      { outcome: 'not-reached', after: 'change', count: 1, targets: ['web-3'] },
    ]);
    expect(actionAt(plan, 'call').variants).toMatchObject([
      { rendered: { calls: [{ method: 'GET', url: 'https://x/tmp/x' }] }, effect: 'read-only', count: 1, targets: [] },
    ]);
    expect(planSummary(plan)).toEqual({
      outcomes: { run: 7, skip: 1, fail: 1, 'not-reached': 1 },
      effects: { 'read-only': 6, mutating: 1 },
    });
    expect(plan.closure).toEqual({
      runbooks: [{ name: 'book', version: 'sha256:1' }],
      actions: ['asset.gather', 'http.request', 'ssh.run'].map((name) => ({ name, version: 1 })),
    });
  });

  it('shows what has to hold between two waves, which is bound by the digest', () => {
    const url = 'https://health/${{ inputs.site }}';
    const gate = {
      require: 'run.counts.failed == 0',
      uses: 'http.request',
      with: { url },
      condition: 'result.status == 200',
    };
    const planOf = (site: string, more: object) =>
      planProgram(request([run('look')], { rest: { rollout: { waves: [1, '100%'], ...more } }, inputs: { site } }));
    const plan = planOf('ber', { gate });
    expect(plan.waveGate).toEqual({
      require: 'run.counts.failed == 0',
      condition: 'result.status == 200',
      every: '10s',
      timeout: '5m',
      consecutive: 1,
      look: expect.objectContaining({
        outcome: 'run',
        rendered: expect.objectContaining({ calls: [{ method: 'GET', url: 'https://health/ber' }] }),
      }),
    });
    expect(plan.closure.actions).toContainEqual({ name: 'http.request', version: 1 });
    const other = planOf('ber', { gate: { ...gate, condition: 'result.status < 300' } });
    expect(other.digest).not.toBe(plan.digest);
    expect(diffPlans(plan, other)).toEqual([expect.objectContaining({ kind: 'step', subject: 'gate' })]);
    expect(planOf('ber', {})).not.toHaveProperty('waveGate');
  });

  it('lists the waves with their numbers of targets, which do not change the digest by themselves', () => {
    const whole = planProgram(request([run('look')]));
    expect(whole).not.toHaveProperty('waves');
    const plan = planProgram(request([run('look')], { rest: { rollout: { waves: [1, '1%', '100%'] } } }));
    expect(plan.waves).toEqual([
      { number: 1, targets: 1 },
      { number: 2, targets: 2 },
    ]);
    expect(plan.digest).toBe(whole.digest);
  });

  it('says what is known only after an earlier step', () => {
    const plan = planProgram(
      request(
        [
          run('probe'),
          run('text', { with: { argv: ['${{ inputs.path }}', 'size=${{ steps.probe.stdout }}'] } }),
          run('shape', { with: { argv: ['x'], codes: '${{ steps.probe.codes }}' } }),
          run('maybe', { if: 'steps.probe.stdout == "1"' }),
          run('presence', { if: 'has(steps.probe.stdout)' }),
          run('absence', { if: '!has(steps.probe.stdout)' }),
          run('never', { if: 'asset.name == "no" && steps.probe.stdout == "1"' }),
        ],
        { targets: [target('a', 'web-1')] },
      ),
    );
    expect(actionAt(plan, 'text').variants).toMatchObject([
      { outcome: 'run', knownAfter: ['probe'], rendered: { argv: [['on', 'web-1', '/tmp/x', '(known after probe)']] } },
    ]);
    expect(actionAt(plan, 'shape').variants).toMatchObject([{ outcome: 'unknown', knownAfter: ['probe'] }]);
    for (const path of ['maybe', 'presence', 'absence'])
      expect(actionAt(plan, path).variants).toMatchObject([{ outcome: 'run', knownAfter: ['probe'] }]);
    expect(shown(actionAt(plan, 'never'))).toEqual(['skip: web-1']);
  });

  it('says of a file whose content is known later that its digest and size are, too', () => {
    const put = (id: string, path: string, content: string, more: Readonly<Record<string, unknown>> = {}) => ({
      id,
      uses: 'file.put',
      with: { path, content, ...more },
    });
    const read = '${{ steps.probe.stdout }}';
    const planOf = (steps: readonly unknown[]) => planProgram(request(steps, { targets: [target('a', 'web-1')] }));
    const plan = planOf([
      run('probe'),
      run('other'),
      put('known', '/etc/a', 'one'),
      put('later', '/etc/a', `one ${read}`),
      put('both', '/etc/a', `${read}\${{ steps.other.stdout }}`, { owner: '${{ steps.known.changed }}' }),
      { ...put('beside', '/etc/a', 'one', { owner: read }), if: 'steps.probe.stdout == "1"' },
    ]);
    expect(planSchema.parse(plan)).toEqual(plan);
    const file = (path: string) => {
      const [one] = actionAt(plan, path).variants;
      return one?.outcome === 'run' ? one.rendered.files[0] : undefined;
    };
    const known = { path: '/etc/a', mode: '0644', sha256: expect.stringMatching(/^7692c3ad3540/), sizeBytes: 3 };
    expect(file('known')).toEqual(known);
    expect(file('later')).toMatchObject({ path: '/etc/a', knownAfter: ['probe'] });
    expect(file('both')).toMatchObject({ knownAfter: ['other', 'probe'] });
    // What is known later is somebody else's, not what is in it.
    expect(file('beside')).toEqual(known);
    const lines = ['known', 'later', 'both'].map((path) =>
      actionAt(plan, path).variants.flatMap((one) => (one.outcome === 'run' ? describeRendered(one.rendered) : [])),
    );
    expect(lines).toEqual([
      ['file /etc/a 0644, 3 bytes, sha256 7692c3ad3540'],
      ['file /etc/a 0644, size and sha256 known after probe'],
      ['file /etc/a 0644, size and sha256 known after other, probe'],
    ]);
    // As it was before this was said: an approval is bound to it.
    expect(plan.digest).toBe('sha256:003dff9f328655cf24c6dc142eca27ad2ad839760a81a83b431fd4001cba94c6');
    expect(planDigest(plan)).toBe(plan.digest);
    const before = structuredClone(plan);
    for (const path of ['later', 'both'])
      for (const one of actionAt(before, path).variants)
        if (one.outcome === 'run') for (const each of one.rendered.files) delete each.knownAfter;
    expect(planDigest(before)).toBe(plan.digest);
    // A plan that was kept without it differs in nothing else from one with it.
    const changed = planOf([run('probe'), put('later', '/etc/b', read)]);
    const kept = structuredClone(changed);
    for (const one of actionAt(kept, 'later').variants)
      if (one.outcome === 'run') for (const each of one.rendered.files) delete each.knownAfter;
    expect(
      diffPlans({ ...kept, digest: plan.digest, runbook: { ...kept.runbook, version: 'sha256:0' } }, changed),
    ).toEqual([expect.objectContaining({ kind: 'runbook' })]);
  });

  it('knows that a step which is skipped yields nothing', () => {
    const plan = planProgram(
      request([
        run('probe', { if: 'asset.labels.role == "app"', onError: 'continue' }),
        run('ask', { if: '!has(steps.probe.stdout)', onError: 'continue' }),
        run('read', { with: { argv: ['${{ steps.probe.stdout }}'] } }),
      ]),
    );
    // web-1 skips the first step; on web-3 it fails and is passed over.
    expect(shown(actionAt(plan, 'probe')).sort()).toEqual(['fail: web-3', 'run: web-2', 'skip: web-1']);
    expect(actionAt(plan, 'ask').variants).toMatchObject([
      { outcome: 'run', knownAfter: [], targets: ['web-1'] },
      { outcome: 'run', knownAfter: ['probe'], targets: ['web-2'] },
      { outcome: 'run', knownAfter: [], targets: ['web-3'] },
    ]);
    expect(actionAt(plan, 'read').variants).toMatchObject([
      { outcome: 'fail', error: { code: 'unknown-value' }, targets: ['web-1', 'web-3'] },
      { outcome: 'run', knownAfter: ['probe'], targets: ['web-2'] },
    ]);
  });

  it('takes facts as not known once a step renews them', () => {
    const targets = [target('a', 'web-1', 'web', { os: { family: 'debian' } })];
    const read = (id: string) => run(id, { with: { argv: ['${{ asset.facts.os.family }}'] } });
    const plan = planProgram(
      request(
        [
          read('before'),
          { id: 'gather', uses: 'asset.gather' },
          read('after'),
          run('has', { if: 'has(asset.facts.x)' }),
        ],
        { targets },
      ),
    );
    expect(actionAt(plan, 'before').variants).toMatchObject([
      { knownAfter: [], rendered: { argv: [['on', 'web-1', 'debian']] } },
    ]);
    expect(actionAt(plan, 'after').variants).toMatchObject([
      { knownAfter: ['gather'], rendered: { argv: [['on', 'web-1', '(known after gather)']] } },
    ]);
    expect(actionAt(plan, 'has').variants).toMatchObject([{ outcome: 'run', knownAfter: ['gather'] }]);
  });

  it('names the credentials that steps and connections open, with their versions', () => {
    const targets = [
      { ...target('a', 'web-1'), credential: 'login' },
      { ...target('b', 'web-2'), credential: null },
    ];
    const plan = planProgram(
      request(
        [
          run('change', { with: { argv: ['x'], become: { credential: 'sudo' } } }),
          { id: 'call', uses: 'http.request', with: { url: 'u', bearer: 'hook' } },
        ],
        { targets, credentialVersion: (name) => (name === 'hook' ? null : 3) },
      ),
    );
    expect(plan.credentials).toEqual([
      { name: 'hook', version: null, usedBy: ['call'] },
      { name: 'login', version: 3, usedBy: ['connections'] },
      { name: 'sudo', version: 3, usedBy: ['change'] },
    ]);
  });

  it('fails a step whose input does not fit, and refuses what it cannot plan', () => {
    const plan = planProgram(request([run('a', { with: { argv: ['x'], codes: ['${{ inputs.path }}'] } })]));
    expect(actionAt(plan, 'a').variants[0]).toMatchObject({
      outcome: 'fail',
      error: { code: 'invalid-inputs', message: expect.stringContaining('with.codes.0') },
    });
    expect(() => planProgram(request([{ id: 'a', uses: 'toString' }]))).toThrow(
      expect.objectContaining({ code: 'invalid-document' }),
    );
    const many = Array.from({ length: 20_001 }, (_, index) => target(`t${index}`, 'x'));
    expect(() => planProgram(request([run('a')], { targets: many }))).toThrow(
      expect.objectContaining({ code: 'too-many-targets' }),
    );
  });

  it('shows a step of the run itself that fails as the end of the way', () => {
    const steps = [run('a'), { id: 'call', uses: 'http.request', with: { url: 5 } }, run('b')];
    const plan = planProgram(request(steps));
    expect(actionAt(plan, 'b').variants).toMatchObject([{ outcome: 'not-reached', after: 'call', count: 3 }]);
  });
});
