import type { SourcePosition } from '@fettle/contracts';
import { canonicalLabels } from '../canonical.js';
import { importColumns, labelProblem, setColumn, type ImportColumn, type RowDraft } from '../columns.js';
import { IMPORT_LIMITS, shorten, type FindingList, type ImportRow } from '../import-row.js';
import { nearest } from '../nearest.js';
import type { Group, Host } from './inventory.js';
import type { Variable } from './value.js';

/** Variables that set a column of the asset: Ansible's own for the connection, `fettle_<column>` for the rest. */
const columnOfVariable: Readonly<Record<string, ImportColumn>> = {
  ansible_host: 'address',
  ansible_ssh_host: 'address',
  ansible_port: 'port',
  ansible_ssh_port: 'port',
  ansible_user: 'user',
  ansible_ssh_user: 'user',
  fettle_kind: 'kind',
  fettle_site: 'site',
  fettle_owner: 'owner',
  fettle_criticality: 'criticality',
  fettle_lifecycle: 'lifecycle',
  fettle_credential: 'credential',
  fettle_host_key: 'hostKey',
  fettle_jump: 'jump',
};

/** Connection variables of Ansible that hold or name a secret. */
const ANSIBLE_SECRET = /^ansible_.*(pass|password|private_key|private_key_file|vault|token|secret)/;
/** Names that say that the value is a secret. Labels are visible to every viewer, so such a value is never made one. */
const SECRET_NAME =
  /(^|[_-])(pass|passwd|password|passphrase|pwd|secret|secrets|token|private_?key|api_?key|access_?key|credentials?)($|[_-])|(password|passwd|passphrase|secret|token)$/i;

/**
 * Turns hosts with their variables into rows. What cannot be imported is reported once for each variable and place, however many hosts
 * share it.
 */
export class RowMapper {
  readonly #findings: FindingList;
  readonly #reported = new Set<string>();

  constructor(findings: FindingList) {
    this.#findings = findings;
  }

  /** Null (and findings) where the host cannot become an asset. */
  row(host: Host, vars: ReadonlyMap<string, Variable>, groups: readonly Group[]): ImportRow | null {
    const errorsBefore = this.#findings.errorCount;
    const row: RowDraft = { line: host.position.line, name: '', kind: 'server', labels: {} };
    if (host.position.file !== undefined) row.file = host.position.file;
    const nameProblem = setColumn(row, 'name', host.name);
    if (nameProblem) {
      this.#once(
        'error',
        'invalid-value',
        `host name "${shorten(host.name, 60)}" ${nameProblem.message}`,
        host.position,
        {
          text: host.name,
          suggestion: 'give the host a plain name and put its address into ansible_host',
        },
      );
      return null;
    }
    for (const [name, variable] of vars) this.#variable(row, name, variable);
    // Ansible reaches a host without ansible_host by its name.
    if (row.address === undefined) setColumn(row, 'address', host.name);
    this.#groups(row, groups);
    const labelCount = Object.keys(row.labels).length;
    if (labelCount > IMPORT_LIMITS.maxLabelsPerAsset) {
      const message = `host "${shorten(host.name, 60)}" would get ${labelCount} labels; at most ${IMPORT_LIMITS.maxLabelsPerAsset} are kept for an asset`;
      this.#once('error', 'too-many-labels', message, host.position);
    }
    row.labels = canonicalLabels(row.labels);
    return this.#findings.errorCount > errorsBefore ? null : row;
  }

  #groups(row: RowDraft, groups: readonly Group[]): void {
    const names = groups.map((group) => group.name).filter((name) => name !== 'ungrouped');
    row.groups = names.sort();
    for (const group of groups) {
      if (group.name === 'ungrouped') continue;
      const key = `group.${group.name}`;
      const problem = labelProblem(key, 'true');
      if (problem === null) row.labels[key] = 'true';
      else
        this.#once('warning', 'not-a-label', `the group gets no label: ${problem}`, group.position, {
          text: group.name,
        });
    }
  }

  #variable(row: RowDraft, name: string, variable: Variable): void {
    const column = Object.hasOwn(columnOfVariable, name) ? columnOfVariable[name] : undefined;
    if (ANSIBLE_SECRET.test(name) || (column === undefined && SECRET_NAME.test(name))) {
      this.#left(
        'secret-not-imported',
        name,
        variable,
        'it names or holds a secret',
        'store it with "fettle credential set" and name it in fettle_credential',
      );
    } else if (variable.encrypted) {
      this.#left(
        'secret-not-imported',
        name,
        variable,
        'it is encrypted with Ansible Vault',
        'store it with "fettle credential set"',
      );
    } else if (column !== undefined) this.#column(row, column, name, variable);
    else if (name.startsWith('fettle_')) {
      const like = nearest(name, Object.keys(columnOfVariable));
      this.#left(
        'unknown-variable',
        name,
        variable,
        'no column of an asset has this name',
        like ?? `the columns are ${importColumns.join(', ')}`,
      );
    } else if (name.startsWith('ansible_')) this.#ansibleSetting(name, variable);
    else this.#label(row, name, variable);
  }

  #column(row: RowDraft, column: ImportColumn, name: string, variable: Variable): void {
    // The newer name of two for one column wins wherever it stands; both are read in the order of precedence.
    if (name.startsWith('ansible_ssh_') && row[column] !== undefined) return;
    const text = resolveName(scalarText(variable), row.name)?.trim();
    if (text === undefined) {
      this.#once('error', 'invalid-value', `${name} must be a text or a number`, variable.position);
      return;
    }
    if (text === '') return;
    if (isTemplate(text)) {
      this.#left(
        'template-not-imported',
        name,
        variable,
        'its value is a template, which only Ansible can fill',
        'write the value itself',
      );
      return;
    }
    const problem = setColumn(row, column, text);
    if (!problem) return;
    const shown = column === 'credential' ? 'the value' : `"${shorten(text, 60)}"`;
    this.#once('error', 'invalid-value', `${name}: ${shown} ${problem.message}`, variable.position, {
      ...(problem.suggestion === undefined ? {} : { suggestion: problem.suggestion }),
    });
  }

  #ansibleSetting(name: string, variable: Variable): void {
    if (name === 'ansible_connection' && typeof variable.value === 'string') {
      if (['ssh', 'smart', 'paramiko', 'paramiko_ssh', 'ansible.builtin.ssh'].includes(variable.value)) return;
      const reason = `assets are reached by SSH, not by "${shorten(variable.value, 40)}"`;
      this.#left('setting-not-imported', name, variable, reason);
      return;
    }
    this.#left('setting-not-imported', name, variable, 'it is a setting of Ansible without a counterpart');
  }

  #label(row: RowDraft, name: string, variable: Variable): void {
    if (variable.value === null || variable.value === '') return;
    const text = scalarText(variable);
    if (text === undefined) {
      this.#left('not-a-label', name, variable, 'lists and mappings do not fit in a label');
      return;
    }
    if (isTemplate(text)) {
      this.#left('template-not-imported', name, variable, 'its value is a template, which only Ansible can fill');
      return;
    }
    const problem = labelProblem(name, text);
    if (problem === null) row.labels[name] = text;
    else this.#left('not-a-label', name, variable, problem);
  }

  #left(code: string, name: string, variable: Variable, reason: string, suggestion?: string): void {
    const message = `variable ${shorten(name, 60)} is not imported: ${reason}`;
    this.#once(
      'warning',
      code,
      message,
      variable.position,
      { text: name, ...(suggestion === undefined ? {} : { suggestion }) },
      name,
    );
  }

  #once(
    severity: 'error' | 'warning',
    code: string,
    message: string,
    position: SourcePosition,
    more: { text?: string; suggestion?: string } = {},
    subject = '',
  ): void {
    const key = `${code} ${subject} ${position.file ?? ''}:${position.line}:${position.column}`;
    if (severity === 'error') {
      // An error must stop every row it concerns, so it is counted for each and listed once.
      if (this.#reported.has(key)) this.#findings.countError();
      else this.#findings.error(code, message, position, more);
    } else if (!this.#reported.has(key)) this.#findings.warn(code, message, position, more);
    this.#reported.add(key);
  }
}

/** A scalar as text: numbers as written, booleans as `true` and `false`; undefined for lists, mappings and null. */
function scalarText(variable: Variable): string | undefined {
  const { value } = variable;
  if (typeof value === 'number') return variable.written?.trim() ?? String(value);
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return typeof value === 'string' ? value : undefined;
}

function isTemplate(text: string): boolean {
  return text.includes('{{') || text.includes('{%');
}

/** The one template that every inventory may use: the host's own name. */
function resolveName(text: string | undefined, name: string): string | undefined {
  return text
    ?.replace(/\{\{ *inventory_hostname_short *\}\}/g, name.split('.', 1)[0] ?? name)
    .replace(/\{\{ *inventory_hostname *\}\}/g, name);
}
