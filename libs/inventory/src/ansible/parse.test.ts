import { describe, expect, it } from '@jest/globals';
import type { ImportResult } from '../import-row.js';
import { parseAnsibleInventory } from './parse.js';

function parse(files: Readonly<Record<string, string>>, root = Object.keys(files)[0] ?? ''): ImportResult {
  return parseAnsibleInventory(
    Object.entries(files).map(([path, text]) => ({ path, text })),
    { root },
  );
}

/** `severity code file:line:column` of each finding. */
function places(files: Readonly<Record<string, string>>, root?: string): string[] {
  return parse(files, root).findings.map(
    ({ severity, code, position }) => `${severity} ${code} ${position?.file}:${position?.line}:${position?.column}`,
  );
}

describe('rows from an Ansible inventory', () => {
  it('maps connection, columns, groups and variables', () => {
    const { rows, findings } = parse({
      'inv/hosts': [
        '[web]',
        'web1.example.com ansible_host=10.0.0.1 ansible_port=2222 ansible_user=deploy fettle_criticality=high version=1.10 canary=True',
        'web2',
        '[prod:children]',
        'web',
        '[web:vars]',
        'fettle_site=ber',
        'tier=front',
      ].join('\n'),
      'inv/group_vars/prod.yml': 'env: prod\nfettle_owner: Team A\nfettle_credential: ops-key\n',
      'inv/host_vars/web2.yaml': 'tier: canary\nfettle_kind: virtual-machine\nfettle_lifecycle: planned\nnote: ""\n',
    });
    expect(findings).toEqual([]);
    const shared = { site: 'ber', owner: 'Team A', credential: 'ops-key', groups: ['prod', 'web'], file: 'inv/hosts' };
    expect(rows).toEqual([
      {
        ...shared,
        line: 2,
        name: 'web1.example.com',
        kind: 'server',
        address: '10.0.0.1',
        port: 2222,
        user: 'deploy',
        criticality: 'high',
        labels: {
          canary: 'true',
          env: 'prod',
          'group.prod': 'true',
          'group.web': 'true',
          tier: 'front',
          version: '1.10',
        },
      },
      {
        ...shared,
        line: 3,
        name: 'web2',
        kind: 'virtual-machine',
        address: 'web2',
        lifecycle: 'planned',
        labels: { env: 'prod', 'group.prod': 'true', 'group.web': 'true', tier: 'canary' },
      },
    ]);
  });

  it('never imports a secret, never repeats one, and says what to do instead', () => {
    const result = parse({
      hosts:
        'h1 ansible_password=Hunter2 ansible_ssh_private_key_file=/k db_password=Hunter2 api_token=Hunter2 broken "Hunter2\nh2 ansible_become_pass=Hunter2 x="Hun ter2" secret_key=Hunter2 Hunter2\n',
      'group_vars/all/vault': '$ANSIBLE_VAULT;1.1;AES256\n6162\n',
      'group_vars/all/plain.yml':
        'region: west\nsealed: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nmap:\n  inner: !vault |\n    6162\n',
    });
    expect(result.rows.map((row) => [row.name, row.labels])).toEqual([['h2', { region: 'west', x: 'Hun ter2' }]]);
    expect(JSON.stringify(result)).not.toContain('Hunter2');
    const mended = parse({
      hosts: 'h1 ansible_password=Hunter2 ansible_ssh_private_key_file=/k db_password=Hunter2 api_token=Hunter2',
      'group_vars/all/vault': '$ANSIBLE_VAULT;1.1;AES256\n6162\n',
      'group_vars/all/plain.yml': 'region: west\nsealed: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n',
    });
    expect(mended.counts).toEqual({ errors: 0, warnings: 6 });
    expect(mended.rows.map((row) => row.labels)).toEqual([{ region: 'west' }]);
    expect(JSON.stringify(mended)).not.toContain('Hunter2');
    expect(mended.findings.filter((finding) => finding.suggestion?.includes('fettle credential set'))).toHaveLength(6);
  });

  it('reports a shared variable once, however many hosts have it, and where it stands', () => {
    expect(
      places({
        hosts:
          'h[1:50]\n[all:vars]\nports=[80, 443]\nansible_python_interpreter=/usr/bin/python3\nurl=http://{{ inventory_hostname }}/{{ port }}\nansible_host={{ inventory_hostname }}.lan\n',
      }),
    ).toEqual([
      'warning not-a-label hosts:3:1',
      'warning setting-not-imported hosts:4:1',
      'warning template-not-imported hosts:5:1',
    ]);
    const { rows } = parse({ hosts: 'h1\n[all:vars]\nansible_host={{ inventory_hostname }}.lan\n' });
    expect(rows.map((row) => row.address)).toEqual(['h1.lan']);
  });

  it('refuses bad values of columns at the place of the variable and drops no row in silence', () => {
    const result = parse({
      hosts:
        'a ansible_port=x fettle_kind=sever\nb fettle_colour=red\n[2001:db8::1]:22\n[all:vars]\nfettle_criticality=loud\n',
    });
    expect(
      result.findings.map(
        ({ severity, code, position }) => `${severity} ${code} ${position?.line}:${position?.column}`,
      ),
    ).toEqual([
      'error invalid-value 5:1',
      'error invalid-value 1:3',
      'error invalid-value 1:18',
      'error invalid-value 3:1',
      'warning unknown-variable 2:3',
    ]);
    expect(result.counts.errors).toBe(5);
    expect(result.rows).toEqual([]);
  });
});

describe('findings in INI', () => {
  it('have line and column and do not stop the reading', () => {
    const text = [
      'ok',
      '  bad[1:',
      'worse[5:1]',
      'h:99999',
      'end:',
      'x key',
      'y "open',
      '[web:wheels]',
      'ignored line',
      '[a b]',
      '[web:children]',
      'missing',
      'two words',
      '[gone:vars]',
      'a=1',
      'novalue',
      'r[a:1]',
    ].join('\n');
    expect(places({ hosts: text })).toEqual([
      'error invalid-host hosts:2:3',
      'error invalid-host hosts:3:1',
      'error invalid-host hosts:4:1',
      'error invalid-host hosts:5:1',
      'error invalid-variable hosts:6:3',
      'error invalid-quoting hosts:7:3',
      'error invalid-section hosts:8:6',
      'error invalid-section hosts:10:1',
      'error invalid-group hosts:13:1',
      'error invalid-variable hosts:16:1',
      'error invalid-variable hosts:17:1',
      'error unknown-group hosts:12:1',
      'error unknown-group hosts:14:1',
    ]);
  });

  it('names the groups of a circle', () => {
    const result = parse({ hosts: '[a:children]\nb\n[b:children]\nc\n[c:children]\na\n[d:children]\nc\n[x]\nh\n' });
    expect(result.findings.map((finding) => finding.code)).toEqual(['group-cycle']);
    expect(result.findings[0]?.message).toMatch(/a > b > c > a|b > c > a > b|c > a > b > c/);
    expect(places({ hosts: '[a:children]\na\n' })).toEqual(['error group-cycle hosts:2:1']);
  });

  it('bounds ranges before it expands them, one by one and all together', () => {
    expect(places({ hosts: 'h[1:2000000]\n' })).toEqual(['error invalid-host hosts:1:1']);
    expect(places({ hosts: 'h[0:999999999999999]\n' })).toEqual(['error invalid-host hosts:1:1']);
    expect(places({ hosts: 'h[1:1000][1:1000][1:1000]\n' })).toEqual(['error invalid-host hosts:1:1']);
    expect(places({ hosts: `h${'[1:2]'.repeat(9)}\n` })).toEqual(['error invalid-host hosts:1:1']);
  });

  it('reads 20,000 nested groups and refuses more', () => {
    const chain = Array.from({ length: 15_000 }, (_, index) => `[g${index}:children]\ng${index + 1}`).join('\n');
    const result = parse({ hosts: `${chain}\n[g15000]\nh\n` });
    expect(result.findings.map((finding) => finding.code)).toEqual(['too-many-labels']);
    expect(places({ hosts: Array.from({ length: 20_001 }, (_, index) => `[g${index}]`).join('\n') })).toEqual([
      'error limit-exceeded hosts:19999:1',
    ]);
  });
});

describe('findings in YAML', () => {
  it('have line and column', () => {
    expect(places({ 'i.yml': 'all:\n  hosts:\n    a:\n    a:\n' })).toEqual(['error duplicate-key i.yml:4:5']);
    expect(places({ 'i.yml': 'all:\n  hosts: [a, b]\n' })).toEqual(['error invalid-inventory i.yml:2:10']);
    expect(places({ 'i.yml': 'all:\n  host:\n    a:\n  x: 1\n' })).toEqual([
      'warning ignored-key i.yml:2:3',
      'warning ignored-key i.yml:4:3',
    ]);
    expect(places({ 'i.yml': '- a\n' })).toEqual(['error invalid-inventory i.yml:1:1']);
    expect(places({ 'i.yml': '' })).toEqual(['error inventory-empty i.yml:1:1']);
    expect(places({ 'i.yml': 'all: {hosts: {a: b}}\n' })).toEqual(['error invalid-inventory i.yml:1:18']);
    expect(places({ 'i.yml': 'all: {a: [}\n' })[0]).toMatch(/^error invalid-yaml i\.yml:1:/);
    expect(places({ 'i.yml': 'all:\n---\nall:\n' })).toEqual(['error invalid-yaml i.yml:2:1']);
    expect(places({ 'i.yml': 'plugin: aws_ec2\n' })).toEqual(['error dynamic-inventory i.yml:1:1']);
    expect(places({ hosts: '#!/bin/sh\necho {}\n' })).toEqual(['error dynamic-inventory hosts:1:1']);
    expect(places({ 'i.toml': '[web]\n' })).toEqual(['error unknown-format i.toml:1:1']);
    expect(
      places({
        hosts: 'h1\n',
        'host_vars/h1.yml': 'a: 1\nb: *none\n',
        'group_vars/typo.yml': 'x: 1\n',
        'host_vars/h2': 'y: 1\n',
      }),
    ).toEqual([
      'error invalid-yaml host_vars/h1.yml:2:4',
      'warning unused-file group_vars/typo.yml:1:1',
      'warning unused-file host_vars/h2:1:1',
    ]);
  });

  it('refuses alias bombs, circles of aliases and depth', () => {
    const bomb = [
      'a0: &a0 [x]',
      ...Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}, *a${index}]`),
    ].join('\n');
    const codes = (files: Readonly<Record<string, string>>): string[] =>
      parse(files).findings.map((finding) => finding.code);
    expect(codes({ hosts: 'h\n', 'host_vars/h.yml': bomb })).toContain('alias-bomb');
    const merges = [
      'a0: &a0 {x: 1}',
      ...Array.from(
        { length: 30 },
        (_, index) => `a${index + 1}: &a${index + 1} {<<: [*a${index}, *a${index}, *a${index}], k: 1}`,
      ),
    ].join('\n');
    expect(codes({ hosts: 'h\n', 'host_vars/h.yml': merges })).toContain('alias-bomb');
    expect(codes({ hosts: 'h\n', 'host_vars/h.yml': 'a: &a [*a]\n' })).toEqual(['too-deep']);
    for (const deep of [
      '['.repeat(10_000),
      '['.repeat(10_000) + ']'.repeat(10_000),
      '{a: '.repeat(10_000),
      '- '.repeat(10_000),
      '? '.repeat(10_000),
    ]) {
      expect(codes({ 'i.yml': deep })).toEqual(['too-deep']);
    }
    const groups = (depth: number): string =>
      Array.from(
        { length: depth },
        (_, index) => `${' '.repeat(index * 2)}g${index}:\n${' '.repeat(index * 2 + 1)}children:`,
      ).join('\n');
    expect(codes({ 'i.yml': groups(20) })).toEqual([]);
    expect(codes({ 'i.yml': groups(2000) })).toEqual(['too-deep']);
  });

  it('keeps keys that name members of objects harmless', () => {
    const { rows } = parse({
      'i.yml':
        'all:\n  hosts:\n    h:\n      __proto__: {polluted: yes}\n      constructor: x\n      ansible_host: {a: {__proto__: 1}}\n',
    });
    expect(rows).toEqual([]);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});
