import { IMPORT_LIMITS, shorten, type FindingList } from '../import-row.js';
import type { AnsibleInventory, VariableFiles } from './inventory.js';
import type { Variable, Variables } from './value.js';
import { YamlSource } from './yaml-source.js';

export interface InventoryFile {
  /** Path with `/` between folders, as the person gave it. */
  readonly path: string;
  readonly text: string;
}

const EXTENSIONS = ['.yml', '.yaml', '.json'] as const;

/** The files below one of group_vars and host_vars. */
class VariableFolder {
  readonly #direct = new Map<string, InventoryFile>();
  readonly #folders = new Map<string, { segments: readonly string[]; file: InventoryFile }[]>();
  readonly #unused = new Set<InventoryFile>();

  add(segments: readonly string[], file: InventoryFile): void {
    const [first = '', ...rest] = segments;
    this.#unused.add(file);
    if (rest.length === 0) this.#direct.set(first, file);
    else if (rest.every((segment, index) => isRead(segment, index === rest.length - 1))) {
      const inFolder = this.#folders.get(first) ?? [];
      inFolder.push({ segments: rest, file });
      this.#folders.set(first, inFolder);
    }
  }

  get isEmpty(): boolean {
    return this.#unused.size === 0;
  }

  /** The files of a group or host: the one without extension or the folder first, else .yml, .yaml or .json, whichever exists first. */
  find(name: string): InventoryFile[] {
    const exact = this.#direct.get(name);
    const inFolder = this.#folders.get(name);
    const withExtension = EXTENSIONS.map((extension) => this.#direct.get(name + extension)).find(
      (file) => file !== undefined,
    );
    const found = exact
      ? [exact]
      : inFolder
        ? [...inFolder].sort((a, b) => compareSegments(a.segments, b.segments)).map((entry) => entry.file)
        : withExtension
          ? [withExtension]
          : [];
    for (const file of found) this.#unused.delete(file);
    return found;
  }

  get unused(): Iterable<InventoryFile> {
    return this.#unused;
  }
}

/** Hidden files, backups, folders with an extension and files with another one than YAML's and JSON's are not read. */
function isRead(segment: string, isFile: boolean): boolean {
  if (segment.startsWith('.') || segment.endsWith('~')) return false;
  const dot = segment.lastIndexOf('.');
  const extension = dot <= 0 ? '' : segment.slice(dot);
  return extension === '' || (isFile && EXTENSIONS.some((known) => known === extension));
}

function compareSegments(a: readonly string[], b: readonly string[]): number {
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const [one = '', other = ''] = [a[index], b[index]];
    if (one !== other) return one < other ? -1 : 1;
  }
  return a.length - b.length;
}

/** Reads the group_vars and host_vars that belong to groups and hosts of the inventory. Others are named in warnings. */
export function readVariableFiles(
  files: readonly { readonly segments: readonly string[]; readonly file: InventoryFile }[],
  inventory: AnsibleInventory,
  findings: FindingList,
): VariableFiles {
  const folders = { group_vars: new VariableFolder(), host_vars: new VariableFolder() };
  for (const { segments, file } of files.slice(0, IMPORT_LIMITS.maxFiles)) {
    const folder = segments[0] === 'group_vars' ? folders.group_vars : folders.host_vars;
    folder.add(segments.slice(1), file);
  }
  const groups = readFolder(folders.group_vars, inventory.groups.keys(), findings);
  const hosts = readFolder(folders.host_vars, inventory.hosts.keys(), findings);
  for (const [what, folder] of [['group', folders.group_vars] as const, ['host', folders.host_vars] as const]) {
    for (const file of folder.unused) {
      findings.warn('unused-file', `no ${what} of the inventory uses this file`, {
        file: file.path,
        line: 1,
        column: 1,
      });
    }
  }
  return { groups, hosts };
}

function readFolder(folder: VariableFolder, names: Iterable<string>, findings: FindingList): Map<string, Variables> {
  const found = new Map<string, Variables>();
  if (folder.isEmpty) return found;
  for (const name of names) {
    const files = folder.find(name);
    if (files.length === 0) continue;
    const variables = new Map<string, Variable>();
    for (const file of files) readVariables(file, variables, findings);
    found.set(name, variables);
  }
  return found;
}

function readVariables(file: InventoryFile, into: Map<string, Variable>, findings: FindingList): void {
  const start = { file: file.path, line: 1, column: 1 };
  if (file.text.trimStart().startsWith('$ANSIBLE_VAULT;')) {
    findings.warn('encrypted-file', 'the file is encrypted with Ansible Vault; nothing of it is imported', start, {
      suggestion: 'store the secrets it holds with "fettle credential set"',
    });
    return;
  }
  const source = YamlSource.read(file.text, file.path, findings);
  source?.guarded(() => {
    if (source.isNull(source.root)) return;
    if (source.isMap(source.root))
      for (const entry of source.entries(source.root)) into.set(entry.key, source.variable(entry));
    else {
      const text = source.text(source.root) ?? undefined;
      findings.error(
        'invalid-inventory',
        'a file of variables must be a mapping of names to values',
        source.position(source.root),
        {
          ...(text === undefined ? {} : { text: shorten(text, 40) }),
        },
      );
    }
  });
}
