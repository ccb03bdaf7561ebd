import { describe, expect, it } from '@jest/globals';
import { roles, type Role } from '@fettle/contracts';
import fc from 'fast-check';
import { mayApprove, type Approvers } from './approvers.js';
import { ALL_SPACES, type Binding } from './policy.js';

const bind = (role: Role, selector: string | null = null, space = 'default'): Binding => ({ role, space, selector });
const rule = (of: readonly Role[], principals: readonly string[] = []): Approvers => ({ roles: of, principals });

function ask(
  bindings: readonly Binding[],
  approvers: readonly Approvers[],
  more: { readonly kind?: 'person' | 'service'; readonly excluded?: readonly { id: string; why: string }[] } = {},
) {
  const { kind = 'person', excluded = [] } = more;
  return mayApprove({ principal: { id: '1', name: 'bob', kind, bindings }, space: 'default', approvers, excluded });
}

const all = { allowed: true, selectors: null };
const some = (...selectors: string[]) => ({ allowed: true, selectors });

describe('mayApprove', () => {
  it('is this table', () => {
    const admins = [rule(['admin'])];
    const bob = [rule([], ['bob'])];
    const self = { excluded: [{ id: '1', why: 'bob requested the run' }] };
    const other = { excluded: [{ id: '2', why: 'ada requested the run' }] };
    const service = { kind: 'service' } as const;
    expect(ask([bind('admin')], admins)).toEqual(all);
    expect(ask([bind('admin', null, ALL_SPACES)], admins)).toEqual(all);
    expect(ask([bind('admin', null, 'other')], admins).allowed).toBe(false);
    expect(ask([bind('admin', 'a')], admins)).toEqual(some('a'));
    expect(ask([bind('admin', 'b'), bind('admin', 'a')], admins)).toEqual(some('a', 'b'));
    expect(ask([bind('operator')], admins).allowed).toBe(false);
    expect(ask([], admins).allowed).toBe(false);
    // Another role of his does not widen the one that counts.
    expect(ask([bind('admin', 'a'), bind('operator')], admins)).toEqual(some('a'));
    expect(ask([bind('admin')], admins, self)).toEqual({
      allowed: false,
      why: 'bob requested the run, so that somebody else has to decide',
    });
    expect(ask([bind('viewer')], bob, self).allowed).toBe(false);
    expect(ask([bind('admin')], admins, other)).toEqual(all);
    expect(ask([bind('viewer')], bob)).toEqual(all);
    expect(ask([bind('viewer', 'a')], bob)).toEqual(some('a'));
    expect(ask([], bob)).toMatchObject({ allowed: false, why: expect.stringContaining('may not read runs') });
    expect(ask([bind('viewer', null, 'other')], bob).allowed).toBe(false);
    expect(ask([bind('viewer', 'a'), bind('admin', 'b')], [rule(['admin'], ['bob'])])).toEqual(some('a', 'b'));
    expect(ask([bind('admin')], admins, service).allowed).toBe(false);
    expect(ask([bind('viewer')], bob, service)).toEqual(all);
    expect(ask([bind('admin')], []).allowed).toBe(false);
    // Escalated: whoever the escalation names decides as well.
    expect(ask([bind('admin')], [rule(['author']), rule(['admin'])])).toEqual(all);
  });

  it('never allows the owner, and never less for a wider rule (property)', () => {
    const binding = fc.record({
      role: fc.constantFrom(...roles),
      space: fc.constantFrom('default', 'other', ALL_SPACES),
      selector: fc.option(fc.constantFrom('a', 'b')),
    });
    const approvers = fc.record({
      roles: fc.subarray([...roles]),
      principals: fc.subarray(['bob', 'ada']),
    });
    fc.assert(
      fc.property(fc.array(binding), approvers, approvers, (bindings, one, more) => {
        expect(ask(bindings, [one], { excluded: [{ id: '1', why: 'his' }] }).allowed).toBe(false);
        const [narrow, wide] = [ask(bindings, [one]), ask(bindings, [one, more])];
        if (!narrow.allowed) return;
        expect(wide.allowed).toBe(true);
        if (!wide.allowed || wide.selectors === null) return;
        expect(wide.selectors).toEqual(expect.arrayContaining([...(narrow.selectors ?? ['all'])]));
      }),
    );
  });
});
