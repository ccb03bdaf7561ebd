import type { SourcePosition } from '@fettle/contracts';
import { IMPORT_LIMITS, shorten, type FindingList } from '../import-row.js';
import { nearest } from '../nearest.js';
import type { Variable, Variables } from './value.js';

export interface Group {
  readonly name: string;
  readonly position: SourcePosition;
  readonly vars: Map<string, Variable>;
  readonly hosts: Set<Host>;
  readonly parents: Set<Group>;
  readonly children: Set<Group>;
  /** Longest way from `all`; set by `settle`. */
  depth: number;
  /** `ansible_group_priority`; among groups of one depth a higher one wins. */
  priority: number;
}

export interface Host {
  readonly name: string;
  readonly position: SourcePosition;
  readonly vars: Map<string, Variable>;
  readonly groups: Set<Group>;
}

const ALL = 'all';
const UNGROUPED = 'ungrouped';
const PORT_VARIABLE = 'ansible_port';

/** Hosts and groups of all inventory files together, as they are read; `settle` then orders the groups. */
export class AnsibleInventory {
  readonly groups = new Map<string, Group>();
  readonly hosts = new Map<string, Host>();
  readonly #findings: FindingList;
  #memberships = 0;
  #assignments = 0;
  #limitReported = false;

  constructor(findings: FindingList) {
    this.#findings = findings;
    const start = { line: 1, column: 1 };
    this.addGroup(ALL, start);
    this.addGroup(UNGROUPED, start);
    this.addChild(ALL, UNGROUPED, start);
  }

  /** How many hosts a pattern may still stand for, those already known included. */
  get mentionsLeft(): number {
    return Math.min(IMPORT_LIMITS.maxRows, IMPORT_LIMITS.maxMemberships - this.#memberships);
  }

  addGroup(name: string, position: SourcePosition): Group | null {
    const known = this.groups.get(name);
    if (known) return known;
    if (this.groups.size >= IMPORT_LIMITS.maxGroups) {
      this.#limit(`more than ${IMPORT_LIMITS.maxGroups} groups`, position);
      return null;
    }
    const group: Group = {
      name,
      position,
      vars: new Map(),
      hosts: new Set(),
      parents: new Set(),
      children: new Set(),
      depth: 0,
      priority: 1,
    };
    this.groups.set(name, group);
    return group;
  }

  /** Adds the host where it is new and puts it into the group. Only a host's first mention sets its port, as in Ansible. */
  addHost(name: string, groupName: string, port: number | null, position: SourcePosition): Host | null {
    let host = this.hosts.get(name);
    if (!host) {
      if (this.hosts.size >= IMPORT_LIMITS.maxRows) {
        this.#limit(`more than ${IMPORT_LIMITS.maxRows} hosts`, position);
        return null;
      }
      host = { name, position, vars: new Map(), groups: new Set() };
      if (port !== null) host.vars.set(PORT_VARIABLE, { value: port, position });
      this.hosts.set(name, host);
    }
    if (!this.#countMembership(position)) return null;
    const group = this.groups.get(groupName);
    group?.hosts.add(host);
    if (group) host.groups.add(group);
    return host;
  }

  /** False where the limit of all assignments is reached. */
  setHostVariables(host: Host, variables: readonly (readonly [string, Variable])[], position: SourcePosition): boolean {
    this.#assignments += variables.length;
    if (this.#assignments > IMPORT_LIMITS.maxAssignments) {
      this.#limit(`hosts are given variables more than ${IMPORT_LIMITS.maxAssignments} times`, position);
      return false;
    }
    for (const [name, variable] of variables) host.vars.set(name, variable);
    return true;
  }

  addChild(parentName: string, childName: string, position: SourcePosition): void {
    const parent = this.groups.get(parentName);
    const child = this.groups.get(childName);
    if (!parent || !child || parent.children.has(child)) return;
    if (parent === child) {
      this.#findings.error('group-cycle', `group "${shorten(childName, 60)}" is its own child`, position, {
        text: childName,
      });
      return;
    }
    if (!this.#countMembership(position)) return;
    parent.children.add(child);
    child.parents.add(parent);
  }

  setGroupVariable(group: Group, name: string, variable: Variable): void {
    if (name !== 'ansible_group_priority') {
      group.vars.set(name, variable);
      return;
    }
    const priority = Number(variable.value);
    if (Number.isSafeInteger(priority)) group.priority = priority;
    else this.#findings.error('invalid-value', 'ansible_group_priority must be a whole number', variable.position);
  }

  /**
   * To be called once all inventory files are read: every group without parents becomes a child of `all`, hosts without a group go to
   * `ungrouped`, and groups get their depth. False (and a finding) where groups form a cycle.
   */
  settle(): boolean {
    const all = this.#known(ALL);
    const ungrouped = this.#known(UNGROUPED);
    for (const group of this.groups.values()) {
      if (group !== all && group.parents.size === 0) {
        all.children.add(group);
        group.parents.add(all);
      }
    }
    for (const host of this.hosts.values()) {
      const isGrouped = [...host.groups].some((group) => group !== all && group !== ungrouped);
      if (isGrouped && host.groups.delete(ungrouped)) ungrouped.hosts.delete(host);
      else if (!isGrouped && !host.groups.has(ungrouped)) {
        host.groups.add(ungrouped);
        ungrouped.hosts.add(host);
      }
    }
    return this.#setDepths();
  }

  /** Kahn's algorithm: a group is final once all its parents are. What stays behind lies on a cycle or below one. */
  #setDepths(): boolean {
    const openParents = new Map([...this.groups.values()].map((group) => [group, group.parents.size]));
    const ready = [...this.groups.values()].filter((group) => group.parents.size === 0);
    let done = 0;
    for (let group = ready.pop(); group !== undefined; group = ready.pop()) {
      done += 1;
      for (const child of group.children) {
        child.depth = Math.max(child.depth, group.depth + 1);
        const left = (openParents.get(child) ?? 0) - 1;
        openParents.set(child, left);
        if (left === 0) ready.push(child);
      }
    }
    if (done === this.groups.size) return true;
    const cycle = findCycle([...this.groups.values()].filter((group) => (openParents.get(group) ?? 0) > 0));
    const names = cycle.map((group) => group.name);
    const first = cycle[0] ?? this.#known(ALL);
    const message = `groups contain each other in a circle: ${shorten([...names, names[0] ?? ''].join(' > '), 300)}`;
    this.#findings.error('group-cycle', message, first.position, { text: first.name });
    return false;
  }

  /** The group most like a name that is not one. */
  likeGroup(name: string): string | undefined {
    return nearest(name, [...this.groups.keys()].slice(0, 1000));
  }

  #known(name: string): Group {
    const group = this.groups.get(name);
    if (!group) throw new Error(`the group ${name} is made by the constructor`);
    return group;
  }

  #countMembership(position: SourcePosition): boolean {
    this.#memberships += 1;
    if (this.#memberships <= IMPORT_LIMITS.maxMemberships) return true;
    this.#limit(`hosts and groups are put into groups more than ${IMPORT_LIMITS.maxMemberships} times`, position);
    return false;
  }

  #limit(message: string, position: SourcePosition): void {
    if (this.#limitReported) return;
    this.#limitReported = true;
    this.#findings.error('limit-exceeded', `${message}: split the inventory`, position);
  }
}

/** One cycle among groups of which each has a parent among them: going upwards must meet a group twice. */
function findCycle(groups: readonly Group[]): Group[] {
  const among = new Set(groups);
  const path: Group[] = [];
  const places = new Map<Group, number>();
  let group = groups[0];
  while (group && !places.has(group)) {
    places.set(group, path.length);
    path.push(group);
    group = [...group.parents].find((parent) => among.has(parent));
  }
  const from = group ? (places.get(group) ?? 0) : 0;
  return path.slice(from).reverse();
}

/** All groups of a host, inherited ones included and `all` left out, from the weakest to the strongest. */
export function orderedGroups(host: Host): Group[] {
  const found = new Set<Group>();
  const open = [...host.groups];
  for (let group = open.pop(); group !== undefined; group = open.pop()) {
    if (found.has(group)) continue;
    found.add(group);
    open.push(...group.parents);
  }
  return [...found]
    .filter((group) => group.name !== ALL)
    .sort((a, b) => a.depth - b.depth || a.priority - b.priority || (a.name < b.name ? -1 : 1));
}

/** Variables from files below group_vars and host_vars, by name of group or host. */
export interface VariableFiles {
  readonly groups: ReadonlyMap<string, Variables>;
  readonly hosts: ReadonlyMap<string, Variables>;
}

/**
 * A function that gives each host its variables by Ansible's default precedence, weakest first: `all` in the inventory, other groups in
 * the inventory by depth, priority and name, group_vars/all, group_vars of the other groups in the same order, the host in the
 * inventory, host_vars. Hosts of the same groups share the merge of their groups.
 */
export function variableResolver(
  inventory: AnsibleInventory,
  files: VariableFiles,
): (host: Host) => { vars: Map<string, Variable>; groups: Group[] } {
  const merged = new Map<string, { vars: Map<string, Variable>; groups: Group[] }>();
  const numbers = new Map([...inventory.groups.values()].map((group, index) => [group, index]));
  return (host) => {
    const key = [...host.groups].map((group) => numbers.get(group)).join(',');
    let ofGroups = merged.get(key);
    if (!ofGroups) {
      ofGroups = mergeGroups(inventory, files, orderedGroups(host));
      merged.set(key, ofGroups);
    }
    const vars = new Map(ofGroups.vars);
    assign(vars, host.vars);
    assign(vars, files.hosts.get(host.name));
    return { vars, groups: ofGroups.groups };
  };
}

function mergeGroups(
  inventory: AnsibleInventory,
  files: VariableFiles,
  groups: Group[],
): { vars: Map<string, Variable>; groups: Group[] } {
  const vars = new Map<string, Variable>();
  assign(vars, inventory.groups.get(ALL)?.vars);
  for (const group of groups) assign(vars, group.vars);
  assign(vars, files.groups.get(ALL));
  for (const group of groups) assign(vars, files.groups.get(group.name));
  return { vars, groups };
}

function assign(into: Map<string, Variable>, from: Variables | undefined): void {
  if (from) for (const [name, variable] of from) into.set(name, variable);
}
