import type { Command, Option } from 'commander';

/** Names that only the server knows, by what they complete. */
export type NameKind = 'runbook' | 'run' | 'schedule' | 'asset' | 'principal' | 'file';

export interface Completion {
  readonly candidates: readonly string[];
  /** Candidates that must be asked for; `file` is left to the shell. */
  readonly names: NameKind | null;
}

/** First arguments that are names, by command. */
const argumentNames: Readonly<Record<string, NameKind>> = {
  'run start': 'runbook',
  'run show': 'run',
  'run logs': 'run',
  'run follow': 'run',
  'run cancel': 'run',
  'schedule show': 'schedule',
  'schedule pause': 'schedule',
  'schedule resume': 'schedule',
  'schedule trigger': 'schedule',
  'schedule preview': 'schedule',
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
  '--principal': 'principal',
};

const nothing: Completion = { candidates: [], names: null };

/** What may stand in place of the last word. `words` are those after `fettle`, the last one as far as it is typed. */
export function complete(program: Command, words: readonly string[]): Completion {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  // What comes after `--` is a command of the hosts.
  if (before.includes('--')) return nothing;
  const place = walk(program, before);
  if (place.pending !== null) return ofOption(place.pending, typed);
  if (typed.startsWith('-')) return only(optionsOf(place.command), typed);
  if (place.command.commands.length > 0) return only(commandsOf(place.command), typed);
  const argument = place.command.registeredArguments[place.positionals];
  if (argument?.argChoices !== undefined) return only(argument.argChoices, typed);
  const names = place.positionals === 0 ? (argumentNames[place.path.join(' ')] ?? null) : null;
  return { candidates: [], names };
}

interface Place {
  readonly command: Command;
  readonly path: readonly string[];
  /** How many arguments stand before. */
  readonly positionals: number;
  /** The option whose value comes next. */
  readonly pending: Option | null;
}

function walk(program: Command, words: readonly string[]): Place {
  let command = program;
  const path: string[] = [];
  let positionals = 0;
  let pending: Option | null = null;
  for (const word of words) {
    if (pending !== null) {
      pending = null;
    } else if (word.startsWith('-')) {
      const option = command.options.find((one) => one.long === word || one.short === word);
      pending = option !== undefined && (option.required || option.optional) ? option : null;
    } else {
      const sub = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (sub === undefined) positionals += 1;
      else {
        command = sub;
        path.push(sub.name());
      }
    }
  }
  return { command, path, positionals, pending };
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
