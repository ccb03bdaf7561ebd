/** What an asset shows in Ansible's inventory. */
export interface InventoryAsset {
  readonly name: string;
  readonly kind: string;
  readonly site?: string | null;
  readonly owner?: string | null;
  readonly criticality?: string | null;
  readonly lifecycle?: string | null;
  readonly address?: string | null;
  readonly port?: number | null;
  readonly user?: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

export interface AnsibleInventoryGroup {
  readonly hosts?: readonly string[];
  readonly children?: readonly string[];
}

/** Ansible's dynamic inventory (docs.ansible.com, "Developing dynamic inventory"): `_meta`, `all`, and a key for each group. */
export type AnsibleInventoryList = {
  readonly _meta: { readonly hostvars: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
} & {
  readonly [group: string]:
    AnsibleInventoryGroup | { readonly hostvars: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
};

/** A label with more values than this (a serial number, say) makes no groups; it stays in the variables of its hosts. */
export const MAX_GROUPS_OF_LABEL = 200;
const GROUP_LABEL = 'group.';

/**
 * Writes assets as Ansible's dynamic inventory: groups `kind_<kind>`, `site_<site>`, `label_<key>_<value>`, and `<name>` for each label
 * `group.<name>: "true"` that an import made. Names are made safe for Ansible; names that would become equal get a suffix. The same
 * assets give the same JSON whatever their order. Credentials are never part of it.
 */
export function renderAnsibleInventory(assets: readonly InventoryAsset[]): AnsibleInventoryList {
  const sorted = [...assets].sort((a, b) => compare(a.name, b.name));
  const hostvars: Record<string, Record<string, unknown>> = {};
  const members = new Map<string, string[]>();
  const crowded = crowdedLabels(sorted);
  const ungrouped: string[] = [];
  for (const asset of sorted) {
    hostvars[asset.name] = hostVariables(asset);
    const groups = groupsOf(asset, crowded);
    if (groups.length === 0) ungrouped.push(asset.name);
    for (const group of groups) {
      const hosts = members.get(group);
      if (hosts) hosts.push(asset.name);
      else members.set(group, [asset.name]);
    }
  }
  const safeNames = safeGroupNames([...members.keys()]);
  const groups = [...members].map(([group, hosts]) => [safeNames.get(group) ?? group, { hosts }] as const);
  groups.sort(([a], [b]) => compare(a, b));
  return {
    _meta: { hostvars },
    all: { children: [...groups.map(([name]) => name), 'ungrouped'] },
    ungrouped: { hosts: ungrouped },
    ...Object.fromEntries(groups),
  };
}

function hostVariables(asset: InventoryAsset): Record<string, unknown> {
  const variables: Record<string, unknown> = {};
  const given: readonly (readonly [string, unknown])[] = [
    ['ansible_host', asset.address],
    ['ansible_port', asset.port],
    ['ansible_user', asset.user],
    ['fettle_kind', asset.kind],
    ['fettle_site', asset.site],
    ['fettle_owner', asset.owner],
    ['fettle_criticality', asset.criticality],
    ['fettle_lifecycle', asset.lifecycle],
  ];
  for (const [name, value] of given) if (value !== undefined && value !== null && value !== '') variables[name] = value;
  const labels = Object.entries(asset.labels).sort(([a], [b]) => compare(a, b));
  if (labels.length > 0) variables['fettle_labels'] = Object.fromEntries(labels);
  return variables;
}

function groupsOf(asset: InventoryAsset, crowded: ReadonlySet<string>): string[] {
  const groups = [`kind_${asset.kind}`];
  if (asset.site) groups.push(`site_${asset.site}`);
  for (const [key, value] of Object.entries(asset.labels)) {
    if (key.startsWith(GROUP_LABEL) && value === 'true') groups.push(key.slice(GROUP_LABEL.length));
    else if (!crowded.has(key)) groups.push(`label_${key}_${value}`);
  }
  return groups;
}

function crowdedLabels(assets: readonly InventoryAsset[]): Set<string> {
  const values = new Map<string, Set<string>>();
  for (const asset of assets) {
    for (const [key, value] of Object.entries(asset.labels)) {
      const known = values.get(key) ?? new Set<string>();
      values.set(key, known);
      if (known.size <= MAX_GROUPS_OF_LABEL) known.add(value);
    }
  }
  return new Set([...values].filter(([, known]) => known.size > MAX_GROUPS_OF_LABEL).map(([key]) => key));
}

const reservedGroups: ReadonlySet<string> = new Set(['all', 'ungrouped', '_meta', '__proto__']);

/** Only letters, digits and "_" and no digit in front, as Ansible asks; where two names would become one, each gets a suffix of its own. */
function safeGroupNames(names: readonly string[]): Map<string, string> {
  const bySafeName = new Map<string, string[]>();
  for (const name of names) {
    const plain = name.replace(/[^A-Za-z0-9_]/g, '_');
    const safe = /^[A-Za-z_]/.test(plain) && !reservedGroups.has(plain) ? plain : `group_${plain}`;
    bySafeName.set(safe, [...(bySafeName.get(safe) ?? []), name]);
  }
  const safeNames = new Map<string, string>();
  for (const [safe, sharing] of bySafeName) {
    for (const name of sharing) safeNames.set(name, sharing.length === 1 ? safe : `${safe}_${fingerprint(name)}`);
  }
  return safeNames;
}

/** FNV-1a, 32 bits, in hexadecimal: short and stable; nothing depends on its strength. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, '0');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
