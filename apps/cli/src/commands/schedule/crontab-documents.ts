import { assertTimeZone, parseCron } from '@fettle/calendar';
import { actionContracts } from '@fettle/activities/contracts';
import { API_VERSION, FettleError, runbookDocumentSchema } from '@fettle/contracts';
import { inlineSecrets, looksSecretName, masked } from './crontab-secrets.js';
import type { CrontabJob, CrontabLine } from './crontab.js';

export interface CrontabOptions {
  /** IANA name: whose clock the cron daemon read; a CRON_TZ line in the file comes before it. */
  readonly zone: string;
  /** Which assets the commands run on. */
  readonly on: string;
  readonly space: string;
  /** Names of documents begin with it. */
  readonly prefix: string;
  /** User form: whose crontab it was. */
  readonly user?: string | undefined;
}

/** What became of a line of the crontab. */
export interface ImportedLine {
  readonly line: number;
  readonly text: string;
  readonly became: 'blank' | 'comment' | 'environment' | 'schedule' | 'runbook without schedule' | 'not imported';
  /** Of the documents; null where there are none. */
  readonly name: string | null;
  readonly notes: readonly string[];
}

export interface ImportedCrontab {
  /** A runbook, then its schedule, for each job. */
  readonly documents: readonly Readonly<Record<string, unknown>>[];
  /** One for each line of the input. */
  readonly lines: readonly ImportedLine[];
}

interface State {
  readonly names: Set<string>;
  readonly documents: Readonly<Record<string, unknown>>[];
  environment: Readonly<Record<string, string>>;
  zone: string;
}

const mail = 'nothing is mailed: the output stands in the run; `notify` of a runbook tells people';
/** Variables that speak to the cron daemon, and are none of the commands. */
const ofTheDaemon: Readonly<Record<string, string | undefined>> = {
  MAILTO: mail,
  MAILFROM: mail,
  CONTENT_TYPE: mail,
  CONTENT_TRANSFER_ENCODING: mail,
  LOGNAME: 'cron sets it itself and takes no other: left out',
  RANDOM_DELAY: 'of cronie: write `jitter` into the schedules below, which start later by up to this many minutes',
  START_HOURS_RANGE: 'of anacron: nothing here follows it',
};

/** What documents refuse (YAML 1.2 section 5.1): control characters but tab and line ends, halves of characters, and two that are none. */
const UNPRINTABLE = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|[\u{d800}-\u{dfff}]|[\u{fffe}\u{ffff}]/u;
const looksSecret =
  'it looks like a secret, and documents hold none: make it a credential and name it in secretEnvironment of the steps';

/** Documents of a crontab's jobs, and what became of each line. */
export function documentsOfCrontab(lines: readonly CrontabLine[], options: CrontabOptions): ImportedCrontab {
  const state: State = { names: new Set(), documents: [], environment: {}, zone: options.zone };
  return { lines: lines.map((line) => importLine(line, state, options)), documents: state.documents };
}

function importLine(line: CrontabLine, state: State, options: CrontabOptions): ImportedLine {
  const base = { line: line.line, text: line.text, name: null, notes: [] };
  if (line.kind === 'unreadable') return { ...base, became: 'not imported', notes: [line.reason] };
  if (line.kind === 'environment') return importVariable(line, state);
  if (line.kind !== 'job') return { ...base, became: line.kind };
  try {
    return importJob(line, state, options);
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return { ...base, became: 'not imported', notes: [error.message] };
  }
}

function importVariable(line: Extract<CrontabLine, { readonly kind: 'environment' }>, state: State): ImportedLine {
  const { name, value } = line;
  const done = { line: line.line, text: line.text, became: 'environment' as const, name: null };
  const refused = refusalOf(value);
  if (refused !== null) return { ...done, became: 'not imported', notes: [refused] };
  if (name === 'CRON_TZ') {
    try {
      assertTimeZone(value);
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      return { ...done, became: 'not imported', notes: [error.message] };
    }
    state.zone = value;
    const note = `schedules below read the clock of ${value}, as cronie has it; Debian's cron takes it for a plain variable`;
    return { ...done, notes: [note] };
  }
  const ownNote = ofTheDaemon[name];
  if (ownNote !== undefined) return { ...done, notes: [ownNote] };
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return { ...done, became: 'not imported', notes: [`"${name.slice(0, 60)}" is no name of a variable`] };
  if ((looksSecretName(name) && value !== '') || inlineSecrets(value).length > 0) {
    return { ...done, text: `${name}=…`, became: 'not imported', notes: [looksSecret] };
  }
  state.environment = { ...state.environment, [name]: value };
  const literal = value.includes('$')
    ? ['its "$" stays as it is: cron replaces nothing in a value, nor does this']
    : [];
  if (name === 'SHELL') return { ...done, notes: [`commands below are read by ${value}`, ...literal] };
  if (name === 'HOME') return { ...done, notes: [`commands below start in ${value}`, ...literal] };
  return { ...done, notes: ['set for the commands below', ...literal] };
}

function importJob(
  line: Extract<CrontabLine, { readonly kind: 'job' }>,
  state: State,
  options: CrontabOptions,
): ImportedLine {
  const { job } = line;
  const done = { line: line.line, text: line.text };
  const refused = refusalOf(line.text);
  if (refused !== null) return { ...done, became: 'not imported', name: null, notes: [refused] };
  const secrets = inlineSecrets(job.command);
  if (secrets.length > 0) {
    const note = `the command has a value after ${secrets.map(({ name }) => name).join(', ')}: ${looksSecret}, without it in the line`;
    return { ...done, text: masked(line.text, secrets), became: 'not imported', name: null, notes: [note] };
  }
  const timing = isReboot(job) ? null : timingOf(job);
  const name = nameOf(job.command, line.line, state.names, options.prefix);
  const metadata = {
    name,
    space: options.space,
    // Cutting may leave half of a character.
    description: `crontab line ${line.line}: ${line.text.trim()}`.slice(0, 2000).toWellFormed(),
  };
  const runbook = runbookOf(job, metadata, state, options);
  const misfit = misfitOf(runbook);
  if (misfit !== null) return { ...done, became: 'not imported', name: null, notes: [misfit] };
  state.documents.push(runbook);
  const notes = notesOf(job, state);
  if (!timing) {
    return {
      ...done,
      became: 'runbook without schedule',
      name,
      notes: [
        '@reboot has no time: the host runs it when it starts, Fettle cannot know when that is. Start the runbook from the host (a boot unit that calls `fettle run start`), or by hand',
        ...notes,
      ],
    };
  }
  const { note, ...when } = timing;
  state.documents.push({
    apiVersion: API_VERSION,
    kind: 'Schedule',
    metadata,
    // Cron starts a command though the one before still runs.
    spec: { runbook: name, ...when, timeZone: state.zone, overlap: 'allow' },
  });
  return { ...done, became: 'schedule', name, notes: [...note, ...notes] };
}

/** Null: a document can hold the job. */
function refusalOf(text: string): string | null {
  if (text.includes('${{')) return '"${{" would be read as an expression: write the step by hand';
  const found = UNPRINTABLE.exec(text);
  if (!found) return null;
  const code = (found[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return `it holds the character U+${code}, which no document can`;
}

/** What a runbook cannot hold though a crontab can: a name of a user or of a variable that hosts do not take from here. */
function misfitOf(runbook: Readonly<Record<string, unknown>>): string | null {
  const document = runbookDocumentSchema.safeParse(runbook);
  const [step] = document.success ? document.data.spec.steps : [];
  const input = step && 'with' in step ? actionContracts['ssh.run'].input.safeParse(step.with) : null;
  const issue = document.error?.issues[0] ?? input?.error?.issues[0];
  return issue === undefined ? null : `no step can have this: ${issue.path.join('.')}: ${issue.message}`;
}

function isReboot({ when }: CrontabJob): boolean {
  return when.toLowerCase() === '@reboot';
}

interface Timing {
  readonly dst?: { readonly gap: 'skip'; readonly overlap: 'both' };
  readonly cron?: string;
  readonly rrule?: string;
  readonly note: readonly string[];
}

/**
 * As cron reads it: where a day field begins with `*` (also `*` with a step), both day fields must match; Fettle's either. Such a line is
 * written as a recurrence rule.
 * @throws FettleError `invalid-schedule`
 */
function timingOf({ when }: CrontabJob): Timing {
  const cron = parseCron(when);
  const [, , , dayOfMonth = '', , dayOfWeek = ''] = ['0', ...when.split(' ')];
  const isBoth =
    (dayOfMonth.startsWith('*') || dayOfWeek.startsWith('*')) && cron.daysOfMonth !== null && cron.daysOfWeek !== null;
  const [minute = '', hour = ''] = when.split(' ');
  const isWild =
    !when.startsWith('@') && (minute.startsWith('*') || hour.startsWith('*')) && (isBoth || !cron.followsElapsedTime);
  // cron(8): a job whose minutes or hours begin with "*" follows the new time at once: nothing for a gap, both of an overlap.
  const wild = isWild
    ? {
        dst: { gap: 'skip' as const, overlap: 'both' as const },
        note: [
          'its minutes or hours begin with "*": where the clock is moved it follows the new time at once, as cron does',
        ],
      }
    : { note: [] };
  if (!isBoth) return { cron: when, ...wild };
  if ([dayOfMonth, dayOfWeek].some((field) => /[L#]|\dW/i.test(field))) {
    throw new FettleError({
      code: 'invalid-schedule',
      message: `"${when}": cron(8) knows no L, W or #, and with them here either of the two day fields would do; write the schedule by hand`,
    });
  }
  const weekdays = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];
  const parts = [
    'FREQ=DAILY',
    ...(cron.months.length === 12 ? [] : [`BYMONTH=${cron.months.join(',')}`]),
    `BYMONTHDAY=${(cron.daysOfMonth ?? []).join(',')}`,
    `BYDAY=${(cron.daysOfWeek ?? []).map((day) => weekdays[day] ?? '').join(',')}`,
    `BYHOUR=${cron.hours.join(',')}`,
    `BYMINUTE=${cron.minutes.join(',')}`,
    'BYSECOND=0',
  ];
  return {
    ...wild,
    rrule: parts.join(';'),
    note: [
      ...wild.note,
      'cron wants both day fields to match where one begins with "*": written as a recurrence rule, because here either would do',
    ],
  };
}

function notesOf(job: CrontabJob, state: State): string[] {
  return [
    ...(job.standardInput === null
      ? []
      : ['"%": what follows the first one is the standard input of the command, further ones are line ends']),
    ...(job.isQuiet ? ['the "-" before it (do not log) has no meaning here: every run is recorded'] : []),
    ...(state.environment['TZ'] === undefined ? [] : ['TZ is set for the command; the schedule follows its own zone']),
  ];
}

function runbookOf(
  job: CrontabJob,
  metadata: Readonly<Record<string, unknown>>,
  state: State,
  options: CrontabOptions,
): Readonly<Record<string, unknown>> {
  const { SHELL: shell = '/bin/sh', HOME: home, ...environment } = state.environment;
  const user = job.user ?? options.user;
  const step = {
    id: 'command',
    uses: 'ssh.run',
    with: {
      argv: [shell, '-c', job.command],
      ...(job.standardInput === null ? {} : { standardInput: job.standardInput }),
      ...(Object.keys(environment).length === 0 ? {} : { environment }),
      ...(home === undefined ? {} : { workingDirectory: home }),
      ...(user === undefined ? {} : { become: { user } }),
    },
    // Cron never ends a command; this is the most that a step may take.
    timeout: '6h',
  };
  return { apiVersion: API_VERSION, kind: 'Runbook', metadata, spec: { targets: options.on, steps: [step] } };
}

/** From the program's name, so that a person knows it again; the line's number where that is taken. */
function nameOf(command: string, line: number, names: Set<string>, prefix: string): string {
  const words = command.trim().split(/\s+/);
  const program =
    words.find(
      (word) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(word) && !/^(\[|test|-[a-z]|cd|\(|\{|!|&&|\|\||if|\/)$/.test(word),
    ) ?? '';
  const base = (program.split('/').at(-1) ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const slug = `${prefix}-${base}`.slice(0, 50).replace(/-+$/, '');
  let name = names.has(slug) || base === '' ? `${slug}-${line}` : slug;
  // Another line's program may be called like that.
  for (let more = 2; names.has(name); more += 1) name = `${slug}-${line}-${more}`;
  names.add(name);
  return name;
}
