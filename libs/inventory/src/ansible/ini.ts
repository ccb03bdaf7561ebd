import type { SourcePosition } from '@fettle/contracts';
import { shorten, type FindingList } from '../import-row.js';
import { expandHostPattern, parseHostPattern } from './host-pattern.js';
import type { AnsibleInventory, Group } from './inventory.js';
import { parsePythonLiteral } from './python-literal.js';
import { splitShellWords, type ShellWord } from './shell-words.js';
import type { Variable } from './value.js';

const SECTION = /^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$/;
const GROUP_NAME = /^([^:\]\s]+)\s*(?:#.*)?$/;
const MAX_LINE_CHARS = 65_536;

type SectionKind = 'hosts' | 'children' | 'vars';

/** Reads an INI inventory into `inventory`. Every problem is a finding with line and column; reading goes on with the next line. */
export function readIniInventory(text: string, file: string, inventory: AnsibleInventory, findings: FindingList): void {
  const reader = new IniReader(file, inventory, findings);
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  let line = 0;
  let start = 0;
  while (start <= source.length) {
    const end = source.indexOf('\n', start);
    line += 1;
    reader.take(source.slice(start, end < 0 ? undefined : end), line);
    if (end < 0) break;
    start = end + 1;
  }
  reader.finish();
}

class IniReader {
  readonly #file: string;
  readonly #inventory: AnsibleInventory;
  readonly #findings: FindingList;
  /** Groups named by `:vars` or `:children` and not yet defined by a section of their own. */
  readonly #undefinedGroups = new Map<string, { position: SourcePosition; title: string }>();
  readonly #definedGroups: Set<string>;
  #groupName = 'ungrouped';
  #kind: SectionKind | 'ignored' = 'hosts';

  constructor(file: string, inventory: AnsibleInventory, findings: FindingList) {
    this.#file = file;
    this.#inventory = inventory;
    this.#findings = findings;
    this.#definedGroups = new Set(inventory.groups.keys());
  }

  take(rawLine: string, line: number): void {
    const text = rawLine.trim();
    const position = { file: this.#file, line, column: rawLine.length - rawLine.trimStart().length + 1 };
    if (text === '' || text.startsWith('#') || text.startsWith(';')) return;
    if (text.length > MAX_LINE_CHARS) {
      this.#findings.error(
        'line-too-long',
        `the line has ${text.length} characters; at most ${MAX_LINE_CHARS} are read`,
        position,
      );
    } else if (SECTION.test(text)) this.#section(text, position);
    else if (text.startsWith('[') && text.endsWith(']')) {
      const message = 'this is no section: write [group], [group:children] or [group:vars], without blanks';
      this.#findings.error('invalid-section', message, position, { text });
      this.#kind = 'ignored';
    } else if (this.#kind === 'hosts') this.#hosts(text, position);
    else if (this.#kind === 'vars') this.#variable(text, position);
    else if (this.#kind === 'children') this.#child(text, position);
  }

  finish(): void {
    for (const [name, { position, title }] of this.#undefinedGroups) {
      if (this.#definedGroups.has(name)) continue;
      const like = this.#inventory.likeGroup(name);
      this.#findings.error(
        'unknown-group',
        `${title} names the group "${shorten(name, 60)}", which has no section of its own`,
        position,
        {
          text: name,
          suggestion: like !== undefined && like !== name ? like : `add [${shorten(name, 60)}]`,
        },
      );
    }
  }

  #section(text: string, position: SourcePosition): void {
    const match = SECTION.exec(text);
    const name = match?.[1] ?? '';
    const kind = match?.[2] ?? 'hosts';
    if (kind !== 'hosts' && kind !== 'children' && kind !== 'vars') {
      const message = `a section cannot be of the kind ":${shorten(kind, 40)}"; only ":children" and ":vars" exist`;
      this.#findings.error(
        'invalid-section',
        message,
        { ...position, column: position.column + 2 + name.length },
        { text },
      );
      this.#kind = 'ignored';
      return;
    }
    this.#groupName = name;
    this.#kind = this.#inventory.addGroup(name, position) ? kind : 'ignored';
    if (kind !== 'vars') this.#definedGroups.add(name);
    else this.#mention(name, position, `[${shorten(name, 60)}:vars]`);
  }

  #mention(name: string, position: SourcePosition, title: string): void {
    if (!this.#undefinedGroups.has(name)) this.#undefinedGroups.set(name, { position, title });
  }

  #child(text: string, position: SourcePosition): void {
    const name = GROUP_NAME.exec(text)?.[1];
    if (name === undefined) {
      this.#findings.error('invalid-group', 'a line below :children must be the name of one group', position, { text });
      return;
    }
    if (!this.#inventory.addGroup(name, position)) return;
    this.#inventory.addChild(this.#groupName, name, position);
    this.#mention(name, position, `[${shorten(this.#groupName, 60)}:children]`);
  }

  #variable(text: string, position: SourcePosition): void {
    const equals = text.indexOf('=');
    const name = text.slice(0, equals < 0 ? undefined : equals).trim();
    if (equals < 0 || name === '') {
      this.#findings.error('invalid-variable', 'a line below :vars must be name=value', position, { text: name });
      return;
    }
    const group: Group | undefined = this.#inventory.groups.get(this.#groupName);
    if (group) this.#inventory.setGroupVariable(group, name, literal(text.slice(equals + 1).trim(), position));
  }

  #hosts(text: string, position: SourcePosition): void {
    const split = splitShellWords(text);
    if ('problem' in split) {
      this.#findings.error('invalid-quoting', split.problem, { ...position, column: position.column + split.at });
      return;
    }
    const [first, ...assignments] = split.words;
    if (!first) return;
    const pattern = parseHostPattern(first.text, this.#inventory.mentionsLeft);
    if ('problem' in pattern) {
      this.#findings.error('invalid-host', pattern.problem, position, { text: first.text });
      return;
    }
    if (first.text === '---') {
      this.#findings.error('invalid-host', '"---" starts a YAML file: name the file .yml or .yaml', position, { text });
      return;
    }
    const variables = this.#assignments(assignments, position);
    for (const name of expandHostPattern(pattern)) {
      const host = this.#inventory.addHost(name, this.#groupName, pattern.port, position);
      if (!host || !this.#inventory.setHostVariables(host, variables, position)) return;
    }
  }

  #assignments(words: readonly ShellWord[], linePosition: SourcePosition): [string, Variable][] {
    const variables: [string, Variable][] = [];
    for (const word of words) {
      const position = { ...linePosition, column: linePosition.column + word.start };
      const equals = word.text.indexOf('=');
      if (equals <= 0) {
        this.#findings.error(
          'invalid-variable',
          'after the host only name=value may follow; a value with blanks needs quotes',
          position,
        );
        // The word is not repeated: it may be the end of a password with a blank in it.
        continue;
      }
      variables.push([word.text.slice(0, equals), literal(word.text.slice(equals + 1), position)]);
    }
    return variables;
  }
}

function literal(text: string, position: SourcePosition): Variable {
  const parsed = parsePythonLiteral(text);
  return { value: parsed.value, written: parsed.written, position };
}
