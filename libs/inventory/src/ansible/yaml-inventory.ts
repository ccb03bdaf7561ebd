import type { Node } from 'yaml';
import { shorten, type FindingList } from '../import-row.js';
import { nearest } from '../nearest.js';
import { expandHostPattern, parseHostPattern } from './host-pattern.js';
import type { AnsibleInventory, Group } from './inventory.js';
import type { Variable } from './value.js';
import { YamlSource, type YamlEntry } from './yaml-source.js';

const MAX_GROUP_DEPTH = 64;
const SECTIONS = ['vars', 'children', 'hosts'] as const;

/** Reads a YAML (or JSON) inventory into `inventory`: groups with `hosts`, `children` and `vars`. */
export function readYamlInventory(
  text: string,
  file: string,
  inventory: AnsibleInventory,
  findings: FindingList,
): void {
  const source = YamlSource.read(text, file, findings);
  if (source) source.guarded(() => new YamlInventoryReader(source, inventory, findings).read());
}

class YamlInventoryReader {
  readonly #source: YamlSource;
  readonly #inventory: AnsibleInventory;
  readonly #findings: FindingList;

  constructor(source: YamlSource, inventory: AnsibleInventory, findings: FindingList) {
    this.#source = source;
    this.#inventory = inventory;
    this.#findings = findings;
  }

  read(): void {
    const { root } = this.#source;
    if (this.#source.isNull(root)) {
      this.#findings.error('inventory-empty', 'the file is empty', this.#source.position(root));
      return;
    }
    if (!this.#source.isMap(root)) {
      const message = 'a YAML inventory must be a mapping of groups, such as "all:" with "hosts:" below it';
      this.#findings.error('invalid-inventory', message, this.#source.position(root));
      return;
    }
    const entries = this.#source.entries(root);
    const plugin = entries.find((entry) => entry.key === 'plugin');
    if (plugin) {
      const message = 'this configures an Ansible inventory plugin and holds no hosts';
      this.#findings.error('dynamic-inventory', message, plugin.position, {
        suggestion: 'run "ansible-inventory --list --yaml --export" and import what it prints',
      });
      return;
    }
    for (const entry of entries) this.#group(entry, 0);
  }

  #group(entry: YamlEntry, depth: number): Group | null {
    if (!this.#source.isNull(entry.node) && !this.#source.isMap(entry.node)) {
      const message = `"${shorten(entry.key, 60)}" is no group: below it only ${SECTIONS.join(', ')} may stand; it is left out`;
      this.#findings.warn('ignored-key', message, entry.position, { text: entry.key });
      return null;
    }
    if (depth > MAX_GROUP_DEPTH) {
      this.#findings.error('too-deep', `groups are nested deeper than ${MAX_GROUP_DEPTH} levels`, entry.position);
      return null;
    }
    const group = this.#inventory.addGroup(entry.key, entry.position);
    if (group) for (const section of this.#source.entries(entry.node)) this.#section(group, section, depth);
    return group;
  }

  #section(group: Group, section: YamlEntry, depth: number): void {
    const known = SECTIONS.find((name) => name === section.key);
    if (known === undefined) {
      const message = `"${shorten(section.key, 60)}" in group "${shorten(group.name, 60)}" is left out: only ${SECTIONS.join(', ')} have a meaning`;
      const like = nearest(section.key, SECTIONS);
      this.#findings.warn('ignored-key', message, section.position, {
        text: section.key,
        ...(like === undefined ? {} : { suggestion: like }),
      });
      return;
    }
    const entries = this.#sectionEntries(section);
    if (entries === null) {
      const message = `"${known}" of group "${shorten(group.name, 60)}" must be a mapping: write each ${known === 'vars' ? 'variable' : 'name'} as a key`;
      this.#findings.error('invalid-inventory', message, this.#source.position(section.node), { suggestion: 'name:' });
      return;
    }
    for (const entry of entries) {
      if (known === 'vars') this.#inventory.setGroupVariable(group, entry.key, this.#source.variable(entry));
      else if (known === 'hosts') this.#hosts(group, entry);
      else {
        const child = this.#group(entry, depth + 1);
        if (child) this.#inventory.addChild(group.name, child.name, entry.position);
      }
    }
  }

  /** Entries of a section; a single text stands for a key without a value, as Ansible allows. Null where it is neither. */
  #sectionEntries(section: YamlEntry): YamlEntry[] | null {
    if (this.#source.isNull(section.node)) return [];
    if (this.#source.isMap(section.node)) return this.#source.entries(section.node);
    const text = this.#source.text(section.node);
    return text === null ? null : [{ key: text, node: null, position: this.#source.position(section.node) }];
  }

  #hosts(group: Group, entry: YamlEntry): void {
    const pattern = parseHostPattern(entry.key, this.#inventory.mentionsLeft);
    if ('problem' in pattern) {
      this.#findings.error('invalid-host', pattern.problem, entry.position, { text: entry.key });
      return;
    }
    const variables = this.#hostVariables(entry);
    for (const name of expandHostPattern(pattern)) {
      const host = this.#inventory.addHost(name, group.name, pattern.port, entry.position);
      if (!host || !this.#inventory.setHostVariables(host, variables, entry.position)) return;
    }
  }

  #hostVariables(entry: YamlEntry): [string, Variable][] {
    const node: Node | null = entry.node;
    if (this.#source.isNull(node)) return [];
    if (this.#source.isMap(node))
      return this.#source.entries(node).map((variable) => [variable.key, this.#source.variable(variable)]);
    const message = `the variables of host "${shorten(entry.key, 60)}" must be a mapping`;
    this.#findings.error('invalid-inventory', message, this.#source.position(node));
    return [];
  }
}
