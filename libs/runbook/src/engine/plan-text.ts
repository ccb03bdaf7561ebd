import type { PlannedOutcome, PlannedRendered } from '@fettle/contracts';

/** Longer words are cut where a person reads them; the plan itself has them whole. */
const MAX_WORD_CHARS = 400;

/** An argument vector as a person reads it: words with anything but plain characters in single quotes, as a shell would take them. */
export function shownWords(argv: readonly string[]): string {
  return argv.map(shownWord).join(' ');
}

function shownWord(word: string): string {
  const cut = word.length > MAX_WORD_CHARS ? `${word.slice(0, MAX_WORD_CHARS)}…` : word;
  return /^[\w@%+=:,./-]+$/.test(cut) ? cut : `'${cut.replaceAll("'", `'\\''`)}'`;
}

/** A line for each command, file and call; those that run as somebody else say as whom. */
export function describeRendered(rendered: PlannedRendered): readonly string[] {
  const { argv, becomeUser, files, calls } = rendered;
  const as = becomeUser === undefined ? '' : ` (as ${becomeUser})`;
  return [
    ...argv.map((words) => `${shownWords(words)}${as}`),
    ...files.map((file) => `file ${shownWord(file.path)} ${file.mode}, ${contentText(file)}${as}`),
    ...calls.map(({ method, url }) => `${method} ${url}`),
  ];
}

function contentText({ sizeBytes, sha256, knownAfter }: PlannedRendered['files'][number]): string {
  if (knownAfter !== undefined) return `size and sha256 known after ${knownAfter.join(', ')}`;
  return `${sizeBytes} bytes, sha256 ${sha256.slice(0, 12)}`;
}

/** One line for an outcome. */
export function describeOutcome(outcome: PlannedOutcome): string {
  switch (outcome.outcome) {
    case 'skip':
      return 'skipped';
    case 'fail':
      return `fails: ${outcome.error.message} [${outcome.error.code}]`;
    case 'not-reached':
      return `not reached: ${outcome.after} fails before it`;
    case 'unknown':
      return `known after ${outcome.knownAfter.join(', ')}`;
    case 'run':
      return `${outcome.effect}: ${describeRendered(outcome.rendered).join('; ')}`;
  }
}
