import type { Role } from '@fettle/contracts';

export const permissions = [
  'run:start',
  'run:read',
  'run:cancel',
  'asset:read',
  'asset:write',
  'asset:import',
  /** Names and versions of credentials; no permission reveals a value. */
  'credential:read',
  'credential:write',
  'document:read',
  'document:write',
  'schedule:operate',
  /** Starts a schedule's run although another is under way or a calendar is closed. */
  'schedule:override',
  'principal:read',
  'principal:write',
  'token:write',
  'audit:read',
  'exec:run',
  /** Lets a run go on outside of its calendars. */
  'calendar:override',
  'system:read',
] as const;
export type Permission = (typeof permissions)[number];

const look = ['run:read', 'asset:read', 'document:read'] as const;
const operate = [...look, 'run:start', 'run:cancel', 'system:read'] as const;

/**
 * What each role may do.
 * - viewer: sees assets, documents, runs and their output.
 * - auditor: sees in addition who may do what, which credentials there are and the audit log; changes nothing.
 * - operator: the daily work: starts and cancels runs, pauses and triggers schedules, keeps the inventory. No `exec:run`: what
 *   an operator runs has been written down, as a version of a runbook, before.
 * - responder: an incident waits neither for a runbook nor for a maintenance window, so one-off commands (`exec:run`) and going on
 *   outside of calendars (`calendar:override`, `schedule:override`) are added to runs and schedules; the inventory and the documents
 *   stay as they are.
 * - author: writes runbooks and schedules and starts runs to try them. No `exec:run`: a document leaves a version behind.
 * - admin: everything. Alone sets credentials and decides who may do what, because either leads to everything else.
 *
 * `asset:write` is to be trusted: who changes an endpoint and enrols its host key decides where credentials are sent.
 */
export const rolePermissions = {
  viewer: look,
  auditor: [...look, 'system:read', 'audit:read', 'principal:read', 'credential:read'],
  operator: [...operate, 'schedule:operate', 'asset:write', 'asset:import', 'credential:read'],
  responder: [...operate, 'schedule:operate', 'schedule:override', 'exec:run', 'calendar:override'],
  author: [...operate, 'document:write', 'credential:read'],
  admin: permissions,
} as const satisfies Record<Role, readonly Permission[]>;

/**
 * How a permission goes with a binding that a selector narrows to some targets.
 * - `targets`: allowed on these targets only; the caller must apply the selectors of the decision, to a document or schedule it
 *   must apply them to what the document targets.
 * - `unnarrowed`: has no targets and harms none, so the selector means nothing to it.
 * - `refused`: reaches beyond any target (a token, a role, a credential that all assets share), so that allowing it would let
 *   the narrowed principal widen itself. Only a binding without a selector gives it.
 */
const narrowing = {
  'run:start': 'targets',
  'run:read': 'targets',
  'run:cancel': 'targets',
  'asset:read': 'targets',
  'asset:write': 'targets',
  'asset:import': 'refused',
  'credential:read': 'unnarrowed',
  'credential:write': 'refused',
  'document:read': 'unnarrowed',
  'document:write': 'targets',
  'schedule:operate': 'targets',
  'schedule:override': 'refused',
  'principal:read': 'unnarrowed',
  'principal:write': 'refused',
  'token:write': 'refused',
  'audit:read': 'refused',
  'exec:run': 'targets',
  'calendar:override': 'targets',
  'system:read': 'unnarrowed',
} as const satisfies Record<Permission, 'targets' | 'unnarrowed' | 'refused'>;

/** In a binding: it holds in every space. As the space of a question: only such a binding answers yes. */
export const ALL_SPACES = '*';

/** One row of a principal's rights. */
export interface Binding {
  readonly role: Role;
  /** Name of a space, or `ALL_SPACES`. */
  readonly space: string;
  /** CEL over assets that narrows the binding to the targets selected; null for all. */
  readonly selector: string | null;
}

export interface Question {
  readonly bindings: readonly Binding[];
  readonly permission: Permission;
  /** Where: the space of the object, or `ALL_SPACES` for what is in none (principals and their rights in all spaces). */
  readonly space: string;
}

export interface Decision {
  readonly allowed: boolean;
  /**
   * Null: on all targets. Otherwise on each target that at least one of these selectors selects; sorted, without duplicates.
   * Empty exactly where `allowed` is false.
   */
  readonly selectors: readonly string[] | null;
}

/** Decides from the bindings alone. A role or permission that is not known gives nothing. */
export function decide({ bindings, permission, space }: Question): Decision {
  const selectors = new Set<string>();
  for (const binding of bindings) {
    if (binding.space !== ALL_SPACES && binding.space !== space) continue;
    if (!roleHas(binding.role, permission)) continue;
    const manner = narrowing[permission];
    if (binding.selector === null || manner === 'unnarrowed') return { allowed: true, selectors: null };
    if (manner === 'targets') selectors.add(binding.selector);
  }
  return { allowed: selectors.size > 0, selectors: [...selectors].sort() };
}

/** Object.hasOwn: a role read from elsewhere, such as `constructor`, must find nothing. */
function roleHas(role: Role, permission: Permission): boolean {
  const granted: readonly Permission[] = Object.hasOwn(rolePermissions, role) ? rolePermissions[role] : [];
  return granted.includes(permission);
}
