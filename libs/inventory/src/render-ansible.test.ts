import { describe, expect, it } from '@jest/globals';
import { parseAnsibleInventory } from './ansible/parse.js';
import { MAX_GROUPS_OF_LABEL, renderAnsibleInventory, type InventoryAsset } from './render-ansible.js';

const assets: InventoryAsset[] = [
  {
    name: 'web2',
    kind: 'server',
    site: 'ber',
    address: '10.0.0.2',
    port: 22,
    user: 'ops',
    labels: { env: 'prod', 'group.web': 'true' },
  },
  { name: 'lp1', kind: 'printer', site: null, labels: { env: 'test-lab' } },
  {
    name: 'web1',
    kind: 'server',
    site: 'ber',
    owner: 'Team A',
    labels: { env: 'prod', 'group.web': 'true', 'group.1st': 'true' },
  },
];

describe('renderAnsibleInventory', () => {
  it('writes groups by kind, site and label with safe names, and the variables of each host', () => {
    expect(renderAnsibleInventory(assets)).toEqual({
      _meta: {
        hostvars: {
          lp1: { fettle_kind: 'printer', fettle_labels: { env: 'test-lab' } },
          web1: {
            fettle_kind: 'server',
            fettle_site: 'ber',
            fettle_owner: 'Team A',
            fettle_labels: { env: 'prod', 'group.1st': 'true', 'group.web': 'true' },
          },
          web2: {
            ansible_host: '10.0.0.2',
            ansible_port: 22,
            ansible_user: 'ops',
            fettle_kind: 'server',
            fettle_site: 'ber',
            fettle_labels: { env: 'prod', 'group.web': 'true' },
          },
        },
      },
      all: {
        children: [
          'group_1st',
          'kind_printer',
          'kind_server',
          'label_env_prod',
          'label_env_test_lab',
          'site_ber',
          'web',
          'ungrouped',
        ],
      },
      ungrouped: { hosts: [] },
      group_1st: { hosts: ['web1'] },
      kind_printer: { hosts: ['lp1'] },
      kind_server: { hosts: ['web1', 'web2'] },
      label_env_prod: { hosts: ['web1', 'web2'] },
      label_env_test_lab: { hosts: ['lp1'] },
      site_ber: { hosts: ['web1', 'web2'] },
      web: { hosts: ['web1', 'web2'] },
    });
  });

  it('is the same JSON whatever the order of assets and labels', () => {
    const turned = [...assets]
      .reverse()
      .map((asset) => ({ ...asset, labels: Object.fromEntries(Object.entries(asset.labels).reverse()) }));
    expect(JSON.stringify(renderAnsibleInventory(turned))).toBe(JSON.stringify(renderAnsibleInventory(assets)));
  });

  it('keeps groups apart whose names would become one, and makes none of a label that tells every asset apart', () => {
    const many = Array.from({ length: MAX_GROUPS_OF_LABEL + 1 }, (_, index) => ({
      name: `h${index}`,
      kind: 'server',
      site: index % 2 === 0 ? 'a-b' : 'a.b',
      labels: { serial: `s${index}`, 'group.all': 'true' },
    }));
    const { _meta: meta, ...groups } = renderAnsibleInventory(many);
    expect(Object.keys(meta.hostvars)).toHaveLength(many.length);
    const names = Object.keys(groups);
    expect(names.filter((name) => /^site_a_b_[0-9a-f]{8}$/.test(name))).toHaveLength(2);
    expect(names.filter((name) => name.startsWith('label_'))).toEqual([]);
    expect(names).toContain('group_all');
  });

  it('brings groups and connection back to Ansible as they were imported', () => {
    const files = [
      {
        path: 'hosts',
        text: '[web]\nw1 ansible_host=10.0.0.1 ansible_port=2222 ansible_user=ops\n[site:children]\nweb\n',
      },
    ];
    const { rows } = parseAnsibleInventory(files, { root: 'hosts' });
    const list = renderAnsibleInventory(rows.map((row) => ({ ...row, kind: row.kind ?? 'server' })));
    expect(list).toMatchObject({
      _meta: { hostvars: { w1: { ansible_host: '10.0.0.1', ansible_port: 2222, ansible_user: 'ops' } } },
      web: { hosts: ['w1'] },
      site: { hosts: ['w1'] },
    });
  });
});
