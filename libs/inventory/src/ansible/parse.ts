import { FindingList, IMPORT_LIMITS, type ImportResult, type ImportRow } from '../import-row.js';
import { AnsibleInventory, variableResolver, type VariableFiles } from './inventory.js';
import { readIniInventory } from './ini.js';
import { RowMapper } from './rows.js';
import { readVariableFiles, type InventoryFile } from './variable-files.js';
import { readYamlInventory } from './yaml-inventory.js';

export interface AnsibleImportOptions {
  /**
   * What `ansible -i` would be given: the path of the inventory file, or of a folder whose files are read one after the other.
   * group_vars and host_vars are looked for beside the file, or in the folder.
   */
  readonly root: string;
}

/** Endings that Ansible passes over in an inventory folder (INVENTORY_IGNORE_EXTS). */
const IGNORED =
  /^\.|^(host_vars|group_vars|vars_plugins)$|(\.pyc|\.pyo|\.swp|\.bak|~|\.rpm|\.md|\.txt|\.rst|\.orig|\.cfg|\.retry)$/;

/**
 * Reads assets from an Ansible inventory: INI or YAML files with their group_vars and host_vars, with Ansible's precedence of variables.
 * The mapping is in docs/reference/import.md. Never throws for what the files hold; every problem is a finding with its place.
 */
export function parseAnsibleInventory(files: readonly InventoryFile[], options: AnsibleImportOptions): ImportResult {
  const findings = new FindingList();
  const resolved = resolveAnsibleInventory(files, options, findings);
  if (!resolved) return { rows: [], ...findings.result() };
  const { inventory, variableFiles } = resolved;
  const mapper = new RowMapper(findings);
  const resolve = variableResolver(inventory, variableFiles);
  const rows: ImportRow[] = [];
  for (const host of inventory.hosts.values()) {
    const { vars, groups } = resolve(host);
    const row = mapper.row(host, vars, groups);
    if (row) rows.push(row);
  }
  return { rows, ...findings.result() };
}

/** Hosts, groups and variables as Ansible would see them; null (and findings) where groups contain each other. */
export function resolveAnsibleInventory(
  files: readonly InventoryFile[],
  options: AnsibleImportOptions,
  findings: FindingList,
): { inventory: AnsibleInventory; variableFiles: VariableFiles } | null {
  const inventory = new AnsibleInventory(findings);
  const { sources, variables } = sortFiles(files, options.root, findings);
  for (const file of sources) readSource(file, inventory, findings);
  if (!inventory.settle()) return null;
  return { inventory, variableFiles: readVariableFiles(variables, inventory, findings) };
}

interface SortedFiles {
  readonly sources: readonly InventoryFile[];
  readonly variables: readonly { readonly segments: readonly string[]; readonly file: InventoryFile }[];
}

function sortFiles(files: readonly InventoryFile[], rootPath: string, findings: FindingList): SortedFiles {
  if (files.length > IMPORT_LIMITS.maxFiles) {
    findings.error('limit-exceeded', `more than ${IMPORT_LIMITS.maxFiles} files`, {
      file: rootPath,
      line: 1,
      column: 1,
    });
    return { sources: [], variables: [] };
  }
  const root = segmentsOf(rootPath);
  const withSegments = files.map((file) => ({ file, segments: segmentsOf(file.path) }));
  const single = withSegments.find(({ segments }) => segments.join('/') === root.join('/'));
  const base = single ? root.slice(0, -1) : root;
  const below = withSegments
    .filter(
      ({ segments }) => segments.length > base.length && base.every((segment, index) => segments[index] === segment),
    )
    .map(({ file, segments }) => ({ file, segments: segments.slice(base.length) }));
  const variables = below.filter(({ segments }) => segments[0] === 'group_vars' || segments[0] === 'host_vars');
  const sources = single
    ? [single.file]
    : below
        .filter(({ segments }) => !segments.some((segment) => IGNORED.test(segment)))
        .sort((a, b) => (a.segments.join('\0') < b.segments.join('\0') ? -1 : 1))
        .map(({ file }) => file);
  if (sources.length === 0) {
    findings.error('inventory-empty', `no inventory file is there at "${rootPath}"`, {
      file: rootPath,
      line: 1,
      column: 1,
    });
  }
  return { sources, variables };
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '' && segment !== '.');
}

function readSource(file: InventoryFile, inventory: AnsibleInventory, findings: FindingList): void {
  const start = { file: file.path, line: 1, column: 1 };
  const text = file.text;
  if (text.startsWith('#!')) {
    findings.error('dynamic-inventory', 'this is an inventory script; scripts are never run by an import', start, {
      suggestion: 'run "ansible-inventory --list --yaml --export" and import what it prints',
    });
  } else if (text.trimStart().startsWith('$ANSIBLE_VAULT;')) {
    findings.error('encrypted-file', 'the inventory is encrypted with Ansible Vault', start, {
      suggestion: 'decrypt it first',
    });
  } else if (file.path.endsWith('.toml'))
    findings.error('unknown-format', 'TOML inventories are not read', start, { suggestion: 'write INI or YAML' });
  else if (/\.(ya?ml|json)$/.test(file.path) || (!/[^/]\.[^./]+$/.test(file.path) && looksLikeYaml(text))) {
    readYamlInventory(text, file.path, inventory, findings);
  } else readIniInventory(text, file.path, inventory, findings);
}

/** For files without an extension: YAML's first line is `---`, a key with nothing behind it, or the bracket of a JSON object. */
function looksLikeYaml(text: string): boolean {
  for (const line of text.slice(0, 65_536).split('\n')) {
    const content = line.trim();
    if (content !== '' && !content.startsWith('#')) return /^(---|\{|[^\s[\]=]+:\s*(#.*)?$)/.test(content);
  }
  return false;
}
