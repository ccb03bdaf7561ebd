import { FettleError } from '@fettle/contracts';

/** A property of iCalendar (RFC 5545 3.1): `NAME;PARAM=VALUE:TEXT`. */
export interface IcalProperty {
  /** In capitals. */
  readonly name: string;
  /** By names in capitals; quotes are taken off. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly value: string;
  /** Where it begins in the text, from 1. */
  readonly line: number;
}

/** `BEGIN:NAME` to `END:NAME`. */
export interface IcalComponent {
  readonly name: string;
  readonly line: number;
  readonly properties: readonly IcalProperty[];
  readonly components: readonly IcalComponent[];
}

const MAX_CHARS = 20_000_000;
const MAX_LINES = 500_000;
const MAX_DEPTH = 8;

interface Open {
  readonly name: string;
  readonly line: number;
  readonly properties: IcalProperty[];
  readonly components: IcalComponent[];
}

/**
 * Reads an iCalendar text: its components with their properties, whatever they are.
 * @throws FettleError `invalid-import` with the line of what is wrong
 */
export function parseIcal(text: string): readonly IcalComponent[] {
  if (text.length > MAX_CHARS)
    throw invalid(1, `the file has ${text.length} characters; at most ${MAX_CHARS} are read`);
  const root: Open = { name: '', line: 0, properties: [], components: [] };
  const open: Open[] = [root];
  for (const { text: unfolded, line } of unfold(text)) {
    const property = propertyOf(unfolded, line);
    const around = open.at(-1) ?? root;
    if (property.name === 'BEGIN') {
      if (open.length > MAX_DEPTH) throw invalid(line, `components are nested more than ${MAX_DEPTH} deep`);
      open.push({ name: property.value.trim().toUpperCase(), line, properties: [], components: [] });
    } else if (property.name === 'END') {
      const name = property.value.trim().toUpperCase();
      if (open.length === 1 || around.name !== name) {
        throw invalid(line, `END:${name.slice(0, 40)} ends nothing that was begun last`);
      }
      open.pop();
      (open.at(-1) ?? root).components.push(around);
    } else if (open.length === 1) {
      throw invalid(line, `"${unfolded.slice(0, 40)}" stands outside of BEGIN:VCALENDAR`);
    } else around.properties.push(property);
  }
  const unended = open[1];
  if (unended !== undefined) throw invalid(unended.line, `BEGIN:${unended.name} is never ended`);
  if (!root.components.some(({ name }) => name === 'VCALENDAR')) throw invalid(1, 'there is no BEGIN:VCALENDAR');
  return root.components;
}

/** A line that begins with a blank goes on from the one before (RFC 5545 3.1). */
function unfold(text: string): { text: string; line: number }[] {
  const found: { text: string; line: number }[] = [];
  const lines = (text.startsWith('\uFEFF') ? text.slice(1) : text).split(/\r\n|\n|\r/);
  if (lines.length > MAX_LINES) throw invalid(1, `the file has ${lines.length} lines; at most ${MAX_LINES} are read`);
  for (const [index, line] of lines.entries()) {
    const last = found.at(-1);
    if (/^[ \t]/.test(line) && last !== undefined) last.text += line.slice(1);
    else if (line.trim() !== '') found.push({ text: line, line: index + 1 });
  }
  return found;
}

const NAME = /^[A-Za-z0-9-]+/;
/** A parameter with its value, quoted or not. */
const PARAMETER = /^;([A-Za-z0-9-]+)=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)/;

function propertyOf(text: string, line: number): IcalProperty {
  const name = NAME.exec(text)?.[0];
  if (name === undefined) throw invalid(line, `"${text.slice(0, 40)}" is no property`);
  const parameters = new Map<string, string>();
  let rest = text.slice(name.length);
  for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
    const [whole, key = '', value = ''] = match;
    parameters.set(key.toUpperCase(), value.replaceAll('"', ''));
    rest = rest.slice(whole.length);
  }
  if (!rest.startsWith(':')) throw invalid(line, `"${text.slice(0, 40)}" has no value`);
  return { name: name.toUpperCase(), parameters, value: rest.slice(1), line };
}

/** RFC 5545 3.3.11. */
export function icalText(value: string): string {
  return value.replace(/\\([\\;,Nn])/g, (_, char: string) => (char === 'n' || char === 'N' ? '\n' : char));
}

function invalid(line: number, message: string): FettleError {
  return new FettleError({
    code: 'invalid-import',
    message: `line ${line}: ${message}`,
    remedy: 'Export the calendar again as iCalendar (.ics, RFC 5545).',
    position: { line, column: 1 },
  });
}
