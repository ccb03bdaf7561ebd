import { describe, expect, it } from '@jest/globals';
import { defineAction, effects, runbookSpecSchema } from '@fettle/contracts';
import { z } from 'zod';
import { planProgram, planSummary, type PlanRequest } from './plan.js';
import type { ActionRegistry } from './program-nodes.js';

const common = {
  version: 1,
  summary: 's',
  defaultTimeoutMs: 1000,
  maxTimeoutMs: 1000,
  secretInputs: [],
  compensation: null,
  probe: false,
};
const actions = {
  'ssh.run': defineAction({
    ...common,
    name: 'ssh.run',
    scope: 'target',
    input: z.strictObject({
      argv: z.array(z.string()).min(1),
      codes: z.array(z.int()).default([0]),
      effect: z.enum(effects).default('mutating'),
    }),
    output: z.object({ stdout: z.string() }),
    effect: (input) => input.effect,
    render: (input, target) => ({ argv: [['on', target.name, ...input.argv]], files: [], calls: [] }),
  }),
  'http.request': defineAction({
    ...common,
    name: 'http.request',
    scope: 'control',
    input: z.strictObject({ url: z.string() }),
    output: z.object({ status: z.int() }),
    effect: () => 'read-only',
    render: (input) => ({ argv: [], files: [], calls: [{ method: 'GET', url: input.url }] }),
  }),
} as const satisfies ActionRegistry;

const target = (assetId: string, name: string, role?: string) => ({
  assetId,
  name,
  asset: { name, labels: role === undefined ? {} : { role }, facts: {}, quarantined: false },
});
const request = (steps: unknown[], more: Partial<PlanRequest> = {}): PlanRequest => ({
  version: 'sha256:1',
  spec: runbookSpecSchema.parse({ targets: 'true', steps }),
  actions,
  inputs: { path: '/tmp/x' },
  targets: [target('b', 'web-2', 'app'), target('a', 'web-1', 'web'), target('c', 'web-3')],
  ...more,
});

describe('planProgram', () => {
  it('renders each step for each target through the contract, sorted by id', () => {
    const plan = planProgram(
      request([
        { id: 'look', uses: 'ssh.run', with: { argv: ['stat', '${{ inputs.path }}'], effect: 'read-only' } },
        {
          id: 'change',
          uses: 'ssh.run',
          if: 'asset.labels.role == "web"',
          with: { argv: ['touch', '${{ asset.name }}'] },
        },
        { id: 'call', uses: 'http.request', with: { url: 'https://x${{ inputs.path }}' } },
      ]),
    );
    expect(plan.targetSet).toEqual(['a', 'b', 'c']);
    expect(plan.targets.map(({ name, steps }) => [name, steps.map((step) => step.outcome)])).toEqual([
      ['web-1', ['run', 'run']],
      ['web-2', ['run', 'skip']],
      ['web-3', ['run', 'fail']],
    ]);
    expect(plan.targets[0]?.steps[0]).toEqual({
      stepId: 'look',
      uses: 'ssh.run',
      outcome: 'run',
      effect: 'read-only',
      rendered: { argv: [['on', 'web-1', 'stat', '/tmp/x']], files: [], calls: [] },
      knownAfter: [],
    });
    expect(plan.targets[2]?.steps[1]).toMatchObject({ error: { code: 'condition-undetermined' } });
    expect(plan.control).toMatchObject([
      { rendered: { calls: [{ method: 'GET', url: 'https://x/tmp/x' }] }, effect: 'read-only' },
    ]);
    expect(planSummary(plan)).toEqual({
      outcomes: { run: 5, skip: 1, fail: 1 },
      effects: { 'read-only': 4, mutating: 1 },
    });
  });

  it('lists the waves with their numbers of targets, which do not change the digest by themselves', () => {
    const steps = [{ id: 'look', uses: 'ssh.run', with: { argv: ['x'] } }];
    const whole = planProgram(request(steps));
    expect(whole).not.toHaveProperty('waves');
    const spec = runbookSpecSchema.parse({ targets: 'true', rollout: { waves: [1, '1%', '100%'] }, steps });
    const plan = planProgram(request(steps, { spec }));
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
          { id: 'probe', uses: 'ssh.run', with: { argv: ['x'] } },
          { id: 'text', uses: 'ssh.run', with: { argv: ['${{ inputs.path }}', 'size=${{ steps.probe.stdout }}'] } },
          { id: 'shape', uses: 'ssh.run', with: { argv: ['x'], codes: '${{ steps.probe.codes }}' } },
          { id: 'maybe', uses: 'ssh.run', if: 'steps.probe.stdout == "1"', with: { argv: ['x'] } },
          {
            id: 'never',
            uses: 'ssh.run',
            if: 'asset.name == "no" && steps.probe.stdout == "1"',
            with: { argv: ['x'] },
          },
        ],
        { targets: [target('a', 'web-1')] },
      ),
    );
    expect(plan.targets[0]?.steps.slice(1)).toEqual([
      expect.objectContaining({
        outcome: 'run',
        knownAfter: ['probe'],
        rendered: expect.objectContaining({ argv: [['on', 'web-1', '/tmp/x', '(known after probe)']] }),
      }),
      { stepId: 'shape', uses: 'ssh.run', outcome: 'unknown', knownAfter: ['probe'] },
      expect.objectContaining({ outcome: 'run', knownAfter: ['probe'] }),
      { stepId: 'never', uses: 'ssh.run', outcome: 'skip' },
    ]);
  });

  it('has a digest that is the same for the same plan and another for anything that differs', () => {
    const steps = [{ id: 'a', uses: 'ssh.run', with: { argv: ['x', '${{ asset.labels.role }}'] } }];
    const { digest, targetSetDigest } = planProgram(request(steps));
    const reversed = planProgram(request(steps, { targets: [...request(steps).targets].reverse() }));
    expect(reversed.digest).toBe(digest);
    const others = [
      request(steps, { version: 'sha256:2' }),
      request(steps, { inputs: {} }),
      request(steps, { targets: request(steps).targets.slice(1) }),
      request(steps, { targets: [target('b', 'web-2', 'other'), ...request(steps).targets.slice(1)] }),
      request([{ ...steps[0], with: { argv: ['x', '${{ asset.labels.role }}'], effect: 'irreversible' } }]),
    ].map((other) => planProgram(other));
    expect(new Set([digest, ...others.map((plan) => plan.digest)]).size).toBe(6);
    expect(others.filter((plan) => plan.targetSetDigest === targetSetDigest)).toHaveLength(4);
  });

  it('fails a step whose input does not fit, and refuses what it cannot plan', () => {
    const [first] = planProgram(
      request([{ id: 'a', uses: 'ssh.run', with: { argv: ['x'], codes: ['${{ inputs.path }}'] } }]),
    ).targets;
    expect(first?.steps[0]).toMatchObject({
      outcome: 'fail',
      error: { code: 'invalid-inputs', message: expect.stringContaining('with.codes.0') },
    });
    expect(() => planProgram(request([{ id: 'a', uses: 'toString' }]))).toThrow(
      expect.objectContaining({ code: 'invalid-document' }),
    );
    const many = Array.from({ length: 10_001 }, (_, index) => target(`t${index}`, 'x'));
    expect(() => planProgram(request([{ id: 'a', uses: 'ssh.run' }], { targets: many }))).toThrow(
      expect.objectContaining({ code: 'too-many-targets' }),
    );
  });
});
