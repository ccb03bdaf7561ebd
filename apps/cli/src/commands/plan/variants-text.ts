import type { PlannedVariant } from '@fettle/contracts';
import { describeOutcome, describeRendered, shownWords } from '@fettle/runbook/source';
import type { Colours } from '../../output/colours.js';
import { oneLine, plural } from '../../output/text.js';

export interface VariantsView {
  readonly colours: Colours;
  /** Each rendering by itself, with all names. */
  readonly full: boolean;
}

/** Renderings that differ in some words only are shown as one pattern from this number on. */
const PATTERN_FROM = 4;
const SHOWN_NAMES = 8;
const SHOWN_EXAMPLES = 3;

/** Lines for what a step does: equal renderings once, and many that differ in a few words as one line with these words left open. */
export function variantLines(variants: readonly PlannedVariant[], isControl: boolean, view: VariantsView): string[] {
  const groups = new Map<string, PlannedVariant[]>();
  for (const variant of variants) {
    const key = shapeOf(variant);
    groups.set(key, [...(groups.get(key) ?? []), variant]);
  }
  return [...groups.values()].flatMap((group) => {
    if (view.full || group.length < PATTERN_FROM) return group.flatMap((one) => singleLines(one, isControl, view));
    return patternLines(group, view);
  });
}

type Running = Extract<PlannedVariant, { outcome: 'run' }>;

/** What has to be alike before words are compared one by one. */
function shapeOf(variant: PlannedVariant): string {
  if (variant.outcome !== 'run') {
    const { targets: _targets, count: _count, ...outcome } = variant;
    return JSON.stringify(outcome.outcome === 'fail' ? { outcome: 'fail', code: outcome.error.code } : outcome);
  }
  const { effect, knownAfter, rendered } = variant;
  const { argv, becomeUser, calls, files } = rendered;
  return JSON.stringify([
    effect,
    knownAfter,
    becomeUser,
    argv.map((words) => words.length),
    calls.length,
    files.map((file) => file.knownAfter ?? []),
  ]);
}

function singleLines(variant: PlannedVariant, isControl: boolean, view: VariantsView): string[] {
  const { colours } = view;
  const who = isControl ? '' : `${targetsText(variant.targets, variant.count, view.full)}: `;
  if (variant.outcome !== 'run') {
    const paint = variant.outcome === 'fail' ? colours.red : variant.outcome === 'skip' ? colours.dim : colours.yellow;
    return [`${who}${paint(oneLine(describeOutcome(variant)))}`];
  }
  return [
    `${who}${effectText(variant, colours)}`,
    ...describeRendered(variant.rendered).map((line) => `  ${oneLine(line)}`),
  ];
}

function effectText({ effect, knownAfter }: Running, colours: Colours): string {
  const paint = effect === 'irreversible' ? colours.red : effect === 'mutating' ? colours.yellow : colours.green;
  const later = knownAfter.length === 0 ? '' : colours.dim(` (in part known after ${knownAfter.join(', ')})`);
  return `${paint(effect)}${later}`;
}

function patternLines(group: readonly PlannedVariant[], view: VariantsView): string[] {
  const { colours } = view;
  const targets = group.flatMap((one) => one.targets);
  const running = group.filter((one): one is Running => one.outcome === 'run');
  const [first] = running;
  if (first === undefined) {
    const examples = group.slice(0, SHOWN_EXAMPLES).flatMap((one) => singleLines(one, false, view));
    const left = group.length - SHOWN_EXAMPLES;
    return left > 0 ? [...examples, colours.dim(`… ${plural(left, 'more outcome')}`)] : examples;
  }
  const words = running.map((one) => wordsOf(one.rendered));
  const open = [...(words[0] ?? []).keys()].filter((at) => words.some((one) => one[at] !== words[0]?.[at]));
  const pattern: Running = { ...first, rendered: withOpenWords(first.rendered, open) };
  const examples = running.slice(0, SHOWN_EXAMPLES).map((one, index) => {
    const values = open.map((at, place) => `{${place + 1}} = ${shownWords([words[index]?.[at] ?? ''])}`);
    return colours.dim(
      `  ${targetsText(one.targets, one.count, false)}: ${oneLine(values.join(', ') || 'same commands, other input')}`,
    );
  });
  const left = running.length - SHOWN_EXAMPLES;
  const more = colours.dim(`  … ${left} more that differ there (--host NAME shows one, --full all)`);
  const head = `${targetsText(targets, targets.length, false)}: ${effectText(first, colours)}`;
  return [
    head,
    ...describeRendered(pattern.rendered).map((line) => `  ${oneLine(line)}`),
    ...examples,
    ...(left > 0 ? [more] : []),
  ];
}

/** All words of a rendering in one list, in the order in which `withOpenWords` counts them. */
function wordsOf({ argv, calls, files }: Running['rendered']): readonly string[] {
  return [
    ...argv.flat(),
    ...files.flatMap((file) => [file.path, file.mode, ...contentWords(file)]),
    ...calls.flatMap((call) => [call.method, call.url]),
  ];
}

/** None of a content that is known later: what is there of it is not the file's. */
function contentWords({ sha256, sizeBytes, knownAfter }: Running['rendered']['files'][number]): readonly string[] {
  return knownAfter === undefined ? [sha256, String(sizeBytes)] : [];
}

function withOpenWords(
  { argv, calls, files, ...rest }: Running['rendered'],
  open: readonly number[],
): Running['rendered'] {
  let at = 0;
  const next = (word: string): string => {
    const place = open.indexOf(at);
    at += 1;
    return place < 0 ? word : `{${place + 1}}`;
  };
  return {
    ...rest,
    argv: argv.map((words) => words.map(next)),
    files: files.map((file) => {
      const [path, mode] = [next(file.path), next(file.mode)];
      const [sha256 = file.sha256] = contentWords(file).map(next);
      return { ...file, path, mode, sha256 };
    }),
    calls: calls.map(({ method, url }) => ({ method: next(method), url: next(url) })),
  };
}

function targetsText(names: readonly string[], count: number, full: boolean): string {
  if (full || names.length <= SHOWN_NAMES) return oneLine(names.join(', '));
  const shown = names.slice(0, SHOWN_NAMES - 2).join(', ');
  return `${plural(count, 'target')} (${oneLine(shown)}, and ${names.length - SHOWN_NAMES + 2} more)`;
}
