import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { FindingList } from '../import-row.js';
import { variableResolver } from './inventory.js';
import { parseAnsibleInventory, resolveAnsibleInventory } from './parse.js';

const fixtures = join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures');
const cases = readdirSync(fixtures).filter((name) => statSync(join(fixtures, name)).isDirectory());

interface Expected {
  readonly hostvars: Readonly<Record<string, unknown>>;
  readonly groups: Readonly<
    Record<string, { readonly hosts?: readonly string[]; readonly children?: readonly string[] }>
  >;
}

function expectedOf(name: string): Expected {
  const { _meta: meta, ...groups } = JSON.parse(readFileSync(join(fixtures, `${name}.expected.json`), 'utf8')) as {
    _meta: { hostvars: Expected['hostvars'] };
  };
  return { hostvars: meta.hostvars, groups: groups };
}

function filesBelow(folder: string): { path: string; text: string }[] {
  return readdirSync(join(fixtures, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(fixtures, folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path: relative(fixtures, path), text: readFileSync(path, 'utf8') }));
}

/** The inventory file of a fixture, or its folder where it has several. */
function rootOf(name: string): string {
  const file = ['hosts', 'hosts.ini', 'inventory.yml', 'inventory.yaml'].find((candidate) =>
    existsSync(join(fixtures, name, candidate)),
  );
  return file === undefined ? name : `${name}/${file}`;
}

describe('against ansible-inventory of ansible-core 2.19.14', () => {
  it('has fixtures', () => {
    expect(cases.length).toBeGreaterThanOrEqual(10);
  });

  for (const name of cases) {
    it(`sees the hosts, variables and groups of ${name}`, () => {
      const expected = expectedOf(name);
      const findings = new FindingList();
      const resolved = resolveAnsibleInventory(filesBelow(name), { root: rootOf(name) }, findings);
      expect(findings.result().findings.filter((finding) => finding.severity === 'error')).toEqual([]);
      if (!resolved) throw new Error('not resolved');
      const resolve = variableResolver(resolved.inventory, resolved.variableFiles);
      const hostvars: Record<string, unknown> = {};
      for (const host of resolved.inventory.hosts.values()) {
        const vars = [...resolve(host).vars].map(([key, variable]) => [key, variable.value] as const);
        if (vars.length > 0) hostvars[host.name] = Object.fromEntries(vars);
      }
      expect(hostvars).toEqual(expected.hostvars);
      expect(shapeOfOurs(resolved.inventory.groups.values())).toEqual(shapeOfExpected(expected.groups));
    });
  }

  it('makes a row of every host whose name an asset can have', () => {
    for (const name of cases) {
      const expected = expectedOf(name);
      const hosts = new Set(Object.values(expected.groups).flatMap((group) => group.hosts ?? []));
      const { rows, counts } = parseAnsibleInventory(filesBelow(name), { root: rootOf(name) });
      expect([name, counts.errors, new Set(rows.map((row) => row.name))]).toEqual([name, 0, hosts]);
    }
  });
});

type Shape = Record<string, { hosts: string[]; children: string[] }>;

function shapeOfOurs(
  groups: Iterable<{ name: string; hosts: Set<{ name: string }>; children: Set<{ name: string }> }>,
): Shape {
  const shape: Shape = {};
  for (const group of groups) {
    // The list shows the hosts of `all` below its children only.
    const hosts = group.name === 'all' ? [] : [...group.hosts].map((host) => host.name).sort();
    const children = [...group.children].map((child) => child.name).sort();
    // The list leaves out groups that hold nothing.
    if (hosts.length + children.length > 0) shape[group.name] = { hosts, children };
  }
  return withoutEmptyChildren(shape);
}

function shapeOfExpected(groups: Expected['groups']): Shape {
  const shape: Shape = {};
  for (const [name, group] of Object.entries(groups)) {
    shape[name] = { hosts: [...(group.hosts ?? [])].sort(), children: [...(group.children ?? [])].sort() };
  }
  return withoutEmptyChildren(shape);
}

function withoutEmptyChildren(shape: Shape): Shape {
  return Object.fromEntries(
    Object.entries(shape).map(([name, group]) => [
      name,
      { ...group, children: group.children.filter((child) => child in shape) },
    ]),
  );
}
