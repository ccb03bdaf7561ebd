import type { Command, Option } from 'commander';

/** Names that only the server knows, by what they complete. */
export type NameKind = 'runbook' | 'run' | 'schedule' | 'asset' | 'principal' | 'file';

export interface Completion {
  readonly candidates: readonly string[];
  /** Candidates that must be asked for; `file` is left to the shell. */
  readonly names: NameKind | null;
  /** The value of `--input` is to be asked for. */
  readonly input?: InputPlace;
}

/** An input of a runbook that is being typed. */
export interface InputPlace {
  readonly runbook: string;
  readonly space: string | null;
  /** Null: its name is not complete. */
  readonly input: string | null;
  /** What stands of the name, or of the value. */
  readonly prefix: string;
  /** What each candidate begins with: the shell replaces the whole word, or, where it splits words at "=", the value alone. */
  readonly before: string;
}

/** First arguments that are names, by command. */
const argumentNames: Readonly<Record<string, NameKind>> = {
  'run start': 'runbook',
  'run inputs': 'runbook',
  'run show': 'run',
  'run logs': 'run',
  'run follow': 'run',
  'run cancel': 'run',
  'schedule show': 'schedule',
  'schedule pause': 'schedule',
  'schedule resume': 'schedule',
  'schedule trigger': 'schedule',
  'schedule preview': 'schedule',
  'schedule ledger': 'schedule',
  'schedule notifications': 'schedule',
  'schedule why': 'schedule',
  'schedule backfill': 'schedule',
  'asset show': 'asset',
  'asset set': 'asset',
  'asset retire': 'asset',
  'asset enrol': 'asset',
  'asset import': 'file',
  'principal revoke': 'principal',
  'token create': 'principal',
};

const optionNames: Readonly<Record<string, NameKind>> = {
  '--file': 'file',
  '--inputs-file': 'file',
  '--from-file': 'file',
  '--data-dir': 'file',
  '--export': 'file',
  '--checkpoints': 'file',
  '--key': 'file',
  '--runbook': 'runbook',
  '--asset': 'asset',
  '--jump': 'asset',
  '--principal': 'principal',
};

const nothing: Completion = { candidates: [], names: null };

/** What may stand in place of the last word. `words` are those after `fettle`, the last one as far as it is typed. */
export function complete(program: Command, words: readonly string[]): Completion {
  const { words: whole, isSplit } = joinInputs(words);
  const typed = whole.at(-1) ?? '';
  const before = whole.slice(0, -1);
  // What comes after `--` is a command of the hosts.
  if (before.includes('--')) return nothing;
  const place = walk(program, before);
  if (place.pending?.long === '--input') return ofInput(place, typed, isSplit);
  if (place.pending !== null) return ofOption(place.pending, typed);
  if (typed.startsWith('-')) return only(optionsOf(place.command), typed);
  if (place.command.commands.length > 0) return only(commandsOf(place.command), typed);
  const argument = place.command.registeredArguments[place.positionals.length];
  if (argument?.argChoices !== undefined) return only(argument.argChoices, typed);
  const names = place.positionals.length === 0 ? (argumentNames[place.path.join(' ')] ?? null) : null;
  return { candidates: [], names };
}

/** Bash makes three words of `name=value`; here they are one again. */
function joinInputs(words: readonly string[]): { readonly words: readonly string[]; readonly isSplit: boolean } {
  const joined: string[] = [];
  let isSplit = false;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    isSplit = words[at + 1] === '=' && joined.at(-1) === '--input';
    joined.push(isSplit ? `${word}=${words[at + 2] ?? ''}` : word);
    if (isSplit) at += 2;
  }
  return { words: joined, isSplit };
}

function ofInput({ path, positionals, space }: Place, typed: string, isSplit: boolean): Completion {
  const [runbook] = positionals;
  if (path.join(' ') !== 'run start' || runbook === undefined) return nothing;
  const at = typed.indexOf('=');
  const input = at < 0 ? null : typed.slice(0, at);
  const before = input === null || isSplit ? '' : `${input}=`;
  return { ...nothing, input: { runbook, space, input, prefix: typed.slice(at + 1), before } };
}

interface Place {
  readonly command: Command;
  readonly path: readonly string[];
  /** The arguments that stand before. */
  readonly positionals: readonly string[];
  readonly space: string | null;
  /** The option whose value comes next. */
  readonly pending: Option | null;
}

function walk(program: Command, words: readonly string[]): Place {
  let command = program;
  const path: string[] = [];
  const positionals: string[] = [];
  let space: string | null = null;
  let pending: Option | null = null;
  for (const word of words) {
    if (pending !== null) {
      if (pending.long === '--space') space = word;
      pending = null;
    } else if (word.startsWith('-')) {
      const option = command.options.find((one) => one.long === word || one.short === word);
      pending = option !== undefined && (option.required || option.optional) ? option : null;
    } else {
      const sub = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (sub === undefined) positionals.push(word);
      else {
        command = sub;
        path.push(sub.name());
      }
    }
  }
  return { command, path, positionals, space, pending };
}

function ofOption(option: Option, typed: string): Completion {
  if (option.argChoices !== undefined) return only(option.argChoices, typed);
  return { candidates: [], names: optionNames[option.long ?? ''] ?? null };
}

function optionsOf(command: Command): string[] {
  return [...command.options.flatMap((option) => (option.hidden || !option.long ? [] : [option.long])), '--help'];
}

function commandsOf(command: Command): string[] {
  // Hidden commands begin with an underscore.
  return [...command.commands.map((one) => one.name()).filter((name) => !name.startsWith('_')), 'help'];
}

function only(candidates: readonly string[], typed: string): Completion {
  return { candidates: candidates.filter((candidate) => candidate.startsWith(typed)), names: null };
}
