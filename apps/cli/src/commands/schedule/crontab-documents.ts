import { assertTimeZone, parseCron } from '@fettle/calendar';
import { API_VERSION, FettleError } from '@fettle/contracts';
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

const SECRET = /pass(word|wd)?|secret|token|api_?key|credential/i;

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
  if (name === 'CRON_TZ') {
    try {
      assertTimeZone(value);
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      return { ...done, became: 'not imported', notes: [error.message] };
    }
    state.zone = value;
    return { ...done, notes: [`schedules below read the clock of ${value}`] };
  }
  if (name === 'MAILTO' || name === 'MAILFROM')
    return { ...done, notes: ['nothing is mailed: the output stands in the run; `notify` of a runbook tells people'] };
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return { ...done, became: 'not imported', notes: [`"${name.slice(0, 60)}" is no name of a variable`] };
  if (SECRET.test(name) && value !== '') {
    const note =
      'it looks like a secret, and documents hold none: make it a credential and name it in secretEnvironment of the steps';
    return { ...done, text: `${name}=…`, became: 'not imported', notes: [note] };
  }
  state.environment = { ...state.environment, [name]: value };
  if (name === 'SHELL') return { ...done, notes: [`commands below are read by ${value}`] };
  if (name === 'HOME') return { ...done, notes: [`commands below start in ${value}`] };
  return { ...done, notes: ['set for the commands below'] };
}

function importJob(
  line: Extract<CrontabLine, { readonly kind: 'job' }>,
  state: State,
  options: CrontabOptions,
): ImportedLine {
  const { job } = line;
  const done = { line: line.line, text: line.text };
  if (`${job.command}${job.standardInput ?? ''}`.includes('${{'))
    return {
      ...done,
      became: 'not imported',
      name: null,
      notes: ['"${{" would be read as an expression: write the step by hand'],
    };
  const timing = isReboot(job) ? null : timingOf(job);
  const name = nameOf(job.command, line.line, state.names, options.prefix);
  const metadata = {
    name,
    space: options.space,
    description: `crontab line ${line.line}: ${line.text.trim()}`.slice(0, 2000),
  };
  state.documents.push(runbookOf(job, metadata, state, options));
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

function isReboot({ when }: CrontabJob): boolean {
  return when.toLowerCase() === '@reboot';
}

interface Timing {
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
  if (!isBoth) return { cron: when, note: [] };
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
    rrule: parts.join(';'),
    note: [
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
  const name = names.has(slug) || base === '' ? `${slug}-${line}` : slug;
  names.add(name);
  return name;
}
