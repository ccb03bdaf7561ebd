import { describe, expect, it } from '@jest/globals';
import type { Plan } from '@fettle/contracts';
import fc from 'fast-check';
import { diffPlans } from './plan-diff.js';
import type { PlanRequest } from './plan-request.js';
import { planDigest } from './plan-digest.js';
import { planProgram } from './plan.js';
import { actions, request, target } from './plan-testing.js';

const numRuns = process.env['FETTLE_LONG'] === '1' ? 2000 : 40;

const word = fc.stringMatching(/^[a-z]{1,6}$/);
const role = fc.constantFrom('web', 'app', undefined);

/** Steps on targets that render labels, inputs and outputs, some of them under conditions, and flow around them. */
const steps = fc
  .array(
    fc.record({
      word,
      argument: fc.constantFrom('plain', '${{ inputs.path }}', '${{ asset.name }}', '${{ steps.s0.stdout }}'),
      condition: fc.constantFrom(
        undefined,
        'asset.labels.role == "web"',
        'inputs.path != ""',
        'steps.s0.stdout == "1"',
      ),
      around: fc.constantFrom('none', 'none', 'forEach', 'choose', 'try'),
      sudo: fc.boolean(),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((list) =>
    list.map(({ word: text, argument, condition, around, sudo }, index) => {
      const own = index === 0 ? argument.replace('steps.s0.stdout', 'inputs.path') : argument;
      const action = {
        id: `s${index}`,
        uses: 'ssh.run',
        ...(condition === undefined || (index === 0 && condition.startsWith('steps')) ? {} : { if: condition }),
        onError: 'continue',
        with: { argv: [text, own], ...(sudo ? { become: { credential: 'sudo' } } : {}) },
      };
      if (around === 'forEach') return { id: `f${index}`, forEach: { items: [1, 2], as: 'n', steps: [action] } };
      if (around === 'choose')
        return {
          id: `f${index}`,
          choose: [{ when: 'inputs.path == "a"', steps: [action] }, { steps: [{ ...action, id: `o${index}` }] }],
        };
      if (around === 'try') return { id: `f${index}`, try: [action], catch: [{ ...action, id: `c${index}` }] };
      return action;
    }),
  );

const targets = fc
  .uniqueArray(fc.record({ name: word, role, fact: word }), {
    selector: ({ name }) => name,
    minLength: 1,
    maxLength: 6,
  })
  .map((list) =>
    list.map(({ name, role: of, fact }) => ({ ...target(`id-${name}`, name, of, { fact }), credential: 'login' })),
  );

const requests = fc
  .record({ steps, targets, path: word, version: word, credential: fc.integer({ min: 1, max: 9 }) })
  .map(({ steps: list, targets: of, path, version, credential }): PlanRequest => {
    const more = { targets: of, inputs: { path }, version: `sha256:${version}` };
    return request(list, { ...more, credentialVersion: () => credential });
  });

/** That the plan is another, and that a person is told in what. */
function expectDrift(before: Plan, after: Plan, kind: string): void {
  expect(after.digest).not.toBe(before.digest);
  const differences = diffPlans(before, after);
  expect(differences.map((one) => one.kind)).toContain(kind);
  for (const { before: was, after: is } of differences) expect(was).not.toBe(is);
}

describe('the digest of a plan (property)', () => {
  it('is the same for the same request, in whatever order the targets come', () => {
    fc.assert(
      fc.property(requests, (one) => {
        const plan = planProgram(one);
        const again = planProgram({ ...one, targets: [...one.targets].reverse() });
        expect(again).toEqual(plan);
        expect(planDigest(plan)).toBe(plan.digest);
        expect(diffPlans(plan, again)).toEqual([]);
      }),
      { numRuns },
    );
  });

  it('does not depend on facts that nothing renders or asks, nor on credentials that nothing opens', () => {
    fc.assert(
      fc.property(requests, word, (one, fact) => {
        const plan = planProgram(one);
        const changed = one.targets.map((each) => ({ ...each, asset: { ...each.asset, facts: { fact, other: 1 } } }));
        const undetermined = {
          undetermined: 7,
          credentialVersion: (name: string) => (name === 'other' ? 99 : (one.credentialVersion?.(name) ?? null)),
        };
        const other = planProgram({ ...one, targets: changed, ...undetermined });
        expect(other.digest).toBe(plan.digest);
        expect(diffPlans(plan, other)).toEqual([]);
      }),
      { numRuns },
    );
  });

  it('changes with an input, a version, an action, a credential, a target and what is rendered', () => {
    fc.assert(
      fc.property(requests, fc.nat(), (one, pick) => {
        const plan = planProgram(one);
        const chosen = pick % one.targets.length;
        expectDrift(plan, planProgram({ ...one, inputs: { ...one.inputs, extra: 1 } }), 'input');
        expectDrift(plan, planProgram({ ...one, version: `${one.version}x` }), 'runbook');
        const newer = { ...actions, 'ssh.run': { ...actions['ssh.run'], version: 2 } };
        expectDrift(plan, planProgram({ ...one, actions: newer }), 'action');
        const next = (name: string): number => (one.credentialVersion?.(name) ?? 0) + 1;
        expectDrift(plan, planProgram({ ...one, credentialVersion: next }), 'credential');
        const more = [...one.targets, { ...target('id-new', 'new-1', 'web'), credential: 'login' }];
        expectDrift(plan, planProgram({ ...one, targets: more }), 'target');
        const fewer = one.targets.filter((_, index) => index !== chosen);
        expectDrift(plan, planProgram({ ...one, targets: fewer }), 'target');
      }),
      { numRuns },
    );
  });

  it('changes with every word of a command and every effect, and tells on which targets', () => {
    fc.assert(
      fc.property(targets, word, fc.nat(), (of, text, pick) => {
        const step = (argv: readonly string[], more = {}) => [{ id: 's', uses: 'ssh.run', with: { argv, ...more } }];
        const plan = planProgram(request(step(['a', text]), { targets: of }));
        expectDrift(plan, planProgram(request(step(['a', `${text}x`]), { targets: of })), 'step');
        expectDrift(plan, planProgram(request(step(['a', text], { effect: 'irreversible' }), { targets: of })), 'step');
        // No command shows it, and it is another all the same.
        expectDrift(plan, planProgram(request(step(['a', text], { standardInput: 'y' }), { targets: of })), 'step');
        const chosen = of[pick % of.length];
        const relabelled = of.map((each) =>
          each === chosen ? { ...each, asset: { ...each.asset, labels: { role: 'x' } } } : each,
        );
        const read = step(['a', '${{ has(asset.labels.role) ? asset.labels.role : "none" }}']);
        const [was, is] = [
          planProgram(request(read, { targets: of })),
          planProgram(request(read, { targets: relabelled })),
        ];
        expectDrift(was, is, 'step');
        expect(diffPlans(was, is)).toMatchObject([{ subject: 's', targets: [chosen?.name], targetCount: 1 }]);
      }),
      { numRuns },
    );
  });
});
