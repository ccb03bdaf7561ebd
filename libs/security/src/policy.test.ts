import { describe, expect, it } from '@jest/globals';
import { roles, type Role } from '@fettle/contracts';
import fc from 'fast-check';
import { ALL_SPACES, decide, permissions, rolePermissions, type Binding, type Permission } from './policy.js';

const bind = (role: Role, selector: string | null = null, space = 'default'): Binding => ({ role, space, selector });
const ask = (bindings: readonly Binding[], permission: Permission, space = 'default') =>
  decide({ bindings, permission, space });
const denied = { allowed: false, selectors: [] };
const allowed = { allowed: true, selectors: null };

describe('rolePermissions', () => {
  it('are these', () => {
    const table = permissions.map((permission) => [
      permission,
      roles.filter((role) => (rolePermissions[role] as readonly Permission[]).includes(permission)).join(' '),
    ]);
    expect(Object.fromEntries(table)).toEqual({
      'run:start': 'operator responder author admin',
      'run:read': 'viewer auditor operator responder author admin',
      'run:cancel': 'operator responder author admin',
      'asset:read': 'viewer auditor operator responder author admin',
      'asset:write': 'operator admin',
      'asset:import': 'operator admin',
      'credential:read': 'auditor operator author admin',
      'credential:write': 'admin',
      'document:read': 'viewer auditor operator responder author admin',
      'document:write': 'author admin',
      'schedule:operate': 'operator responder admin',
      'schedule:override': 'responder admin',
      'principal:read': 'auditor admin',
      'principal:write': 'admin',
      'token:write': 'admin',
      'audit:read': 'auditor admin',
      'exec:run': 'responder admin',
      'calendar:override': 'responder admin',
      'system:read': 'auditor operator responder author admin',
    });
  });
});

describe('decide', () => {
  it('allows nothing without a binding, in another space or by an unknown role', () => {
    for (const permission of permissions) {
      expect(ask([], permission)).toEqual(denied);
      expect(ask([bind('admin', null, 'other')], permission)).toEqual(denied);
      for (const role of ['constructor', '__proto__', 'root', ''])
        expect(ask([bind(role as Role)], permission)).toEqual(denied);
      expect(ask([bind('admin')], permission)).toEqual(allowed);
      expect(ask([bind('admin')], permission, ALL_SPACES)).toEqual(denied);
      expect(ask([bind('admin', null, ALL_SPACES)], permission)).toEqual(allowed);
      expect(ask([bind('admin', null, ALL_SPACES)], permission, ALL_SPACES)).toEqual(allowed);
    }
    expect(ask([bind('admin')], 'everything' as Permission)).toEqual(denied);
  });

  it('joins the selectors of all bindings that grant; one without a selector is all targets', () => {
    const ber = bind('operator', 'asset.labels.site == "ber"');
    const web = bind('responder', 'asset.labels.role == "web"');
    const view = bind('viewer', 'asset.kind == "printer"');
    expect(ask([web, ber, ber, view], 'run:start')).toEqual({
      allowed: true,
      selectors: [web.selector, ber.selector].sort(),
    });
    expect(ask([web, ber, view, bind('viewer')], 'run:start').selectors).toHaveLength(2);
    expect(ask([web, ber, view, bind('viewer')], 'run:read')).toEqual(allowed);
    expect(ask([ber, bind('author')], 'run:start')).toEqual(allowed);
  });

  it('lets no narrowed binding reach beyond its targets', () => {
    const narrowed = [
      bind('admin', 'asset.name == "a"'),
      bind('auditor', 'asset.name == "a"'),
      bind('operator', 'asset.name == "a"'),
    ];
    for (const permission of [
      'asset:import',
      'credential:write',
      'principal:write',
      'token:write',
      'audit:read',
    ] as const) {
      expect(ask(narrowed, permission)).toEqual(denied);
      expect(ask([...narrowed, bind('admin')], permission)).toEqual(allowed);
    }
    expect(ask(narrowed, 'document:read')).toEqual(allowed);
    expect(ask(narrowed, 'exec:run')).toEqual({ allowed: true, selectors: ['asset.name == "a"'] });
  });

  it('never gives less for more bindings, and depends on nothing but the set of them (property)', () => {
    const binding = fc.record({
      role: fc.constantFrom(...roles),
      space: fc.constantFrom('default', 'other', ALL_SPACES),
      selector: fc.option(fc.constantFrom('a', 'b', 'c')),
    });
    fc.assert(
      fc.property(fc.array(binding), binding, fc.constantFrom(...permissions), (bindings, more, permission) => {
        const before = ask(bindings, permission);
        const after = ask([...bindings, more], permission);
        expect(ask([more, ...bindings].reverse(), permission)).toEqual(ask([more, ...bindings], permission));
        if (before.allowed) expect(after.allowed).toBe(true);
        if (before.allowed && before.selectors === null) expect(after.selectors).toBeNull();
        if (after.selectors) expect(after.selectors).toEqual(expect.arrayContaining([...(before.selectors ?? [])]));
        expect(before.allowed).toBe(before.selectors === null || before.selectors.length > 0);
      }),
    );
  });
});
