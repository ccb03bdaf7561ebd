import { isActionStep, walkSteps, type RunbookDocument } from '@fettle/contracts';
import { isRecord, type JsonPath } from '../json.js';
import { startsWith, stepAt, type Draft, type LintContext, type PlacedStep } from './lint-context.js';

/** What is written into commands, scripts, loops and calls. */
export function* contentRules(context: LintContext): Generator<Draft> {
  for (const placed of context.steps) {
    const { step, path } = placed;
    if ('forEach' in step && typeof step.forEach.items === 'string')
      yield* loopRule(placed, step.forEach.items, context);
    if ('call' in step) yield* callRule(placed, step.call.runbook, context);
    if (!isActionStep(step)) continue;
    const { argv, script } = step.with;
    if (Array.isArray(argv)) yield* shellRule(argv, [...path, 'with', 'argv']);
    if (typeof script === 'string' && script.includes('${{')) {
      const message = `the script of "${step.id}" has an expression pasted into it; pass it in \`arguments\` or \`environment\``;
      yield { code: 'expression-in-script', message, path: [...path, 'with', 'script'] };
    }
    yield* secretsIn(step.with, [...path, 'with']);
    yield* secretOutput(placed, context);
  }
}

const shells = /(^|\/)(sh|bash|dash|ash|zsh|ksh|busybox)$/;
const interpreters = /(^|\/)(python3?|perl|ruby|node)$/;

function* shellRule(argv: readonly unknown[], path: JsonPath): Generator<Draft> {
  const words = argv.map((word) => (typeof word === 'string' ? word : ''));
  const pasted = (program: RegExp, option: RegExp): number => {
    const at = words.findIndex(
      (word, index) => option.test(word) && words.slice(0, index).some((one) => program.test(one)),
    );
    return at >= 0 && words[at + 1]?.includes('${{') === true ? at + 1 : -1;
  };
  const inShell = pasted(shells, /^-[a-z]*c$/);
  if (inShell >= 0) {
    const message =
      'a shell reads this line, and an expression is pasted into it; pass the value as an argument after the line';
    yield { code: 'expression-in-shell', message, path: [...path, inShell] };
  }
  const inProgram = pasted(interpreters, /^-[ce]$/);
  if (inProgram >= 0) {
    const message = 'an expression is pasted into the text of a program; pass the value as an argument after it';
    yield { code: 'expression-in-script', message, path: [...path, inProgram] };
  }
}

const secretName = /(passw(or)?d|token|secret|api[-_]?key|private[-_]?key)$/i;
const secretTexts: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'a private key'],
  [/^[a-z][a-z0-9+.-]*:\/\/[^\s/:@$]+:[^\s/@$]+@/i, 'a password in an address'],
  [
    /\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abp]-[A-Za-z0-9-]{10,}|whsec_[A-Za-z0-9+/=]{16,})/,
    'an access key',
  ],
  [/^(Bearer|Basic) [A-Za-z0-9+/=._-]{6,}$/, 'an authorization'],
  [/^--?(passw(or)?d|token|secret|api[-_]?key)=[^$\s]+/i, 'a secret in an option'],
];

/** Texts of an input that look like secrets; what comes by an expression is not in the document. */
function* secretsIn(value: unknown, path: JsonPath): Generator<Draft> {
  if (typeof value === 'string') {
    const what = secretTexts.find(([pattern]) => pattern.test(value))?.[1];
    if (what !== undefined) yield secretFound(what, path);
    return;
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const before: unknown = value[index - 1];
      const isValue = typeof before === 'string' && /^--?(passw(or)?d|token|secret|api[-_]?key)$/i.test(before);
      if (isValue && isLiteral(item) && !String(item).startsWith('-'))
        yield secretFound('a secret after an option', [...path, index]);
      else yield* secretsIn(item, [...path, index]);
    }
    return;
  }
  if (!isRecord(value)) return;
  for (const [key, member] of Object.entries(value)) {
    // Names of credentials are no secrets, and stand in these members.
    if (key === 'credential' || key === 'bearer' || key === 'secretEnvironment') continue;
    const isEnvironment = path.at(-1) === 'environment' || path.at(-1) === 'headers';
    if (isEnvironment && secretName.test(key) && isLiteral(member))
      yield secretFound(`a value for ${key}`, [...path, key]);
    else yield* secretsIn(member, [...path, key]);
  }
}

function isLiteral(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !value.includes('${{');
}

function secretFound(what: string, path: JsonPath): Draft {
  return {
    code: 'secret-in-document',
    message: `this looks like ${what}; store it with \`fettle credential set\` and name the credential`,
    path,
  };
}

/** A step that hands a secret to a command, and whose output something else reads. */
function* secretOutput({ step }: PlacedStep, context: LintContext): Generator<Draft> {
  const given = isActionStep(step) ? step.with.secretEnvironment : undefined;
  if (!isRecord(given) || Object.keys(given).length === 0) return;
  const read = context.reads.find(({ keys, path: at }) => {
    const reader = stepAt(context, at);
    return keys[0] === 'steps' && keys[1] === step.id && reader?.step.id !== step.id && passesOn(keys, at);
  });
  if (read === undefined) return;
  const message = `"${step.id}" is given the secret ${Object.keys(given)[0] ?? ''}, and what it prints goes on from here`;
  yield { code: 'secret-may-reach-output', message, path: read.path };
}

/** Conditions decide by a value and show nothing of it; exit codes are no output. */
function passesOn(keys: readonly string[], path: JsonPath): boolean {
  const last = path.at(-1);
  return keys[2] !== 'exitCode' && last !== 'if' && last !== 'when' && last !== 'condition';
}

function* loopRule({ step, path }: PlacedStep, items: string, context: LintContext): Generator<Draft> {
  const at = [...path, 'forEach', 'items'];
  const read = context.reads.find(
    (one) => startsWith(one.path, at) && (one.keys[0] === 'steps' || one.keys[0] === 'inputs'),
  );
  if (read === undefined) return;
  const [variable, name = ''] = read.keys;
  if (variable === 'inputs') {
    const { properties } = context.document.spec.inputs;
    const schema = isRecord(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (isRecord(schema) && ('maxItems' in schema || 'enum' in schema || 'const' in schema)) return;
    yield {
      code: 'unbounded-loop',
      message: `"${step.id}" goes over the input "${name}", which has no \`maxItems\``,
      path: at,
    };
    return;
  }
  // A part of the list that is taken by its size is bounded.
  if (/\.filter\(|size\(/.test(items)) return;
  yield {
    code: 'unbounded-loop',
    message: `"${step.id}" goes over what "${name}" yields, however much that is`,
    path: at,
  };
}

function* callRule({ path }: PlacedStep, runbook: string, { document, siblings }: LintContext): Generator<Draft> {
  const way = wayBack(runbook, document.metadata.name, siblings, []);
  if (way === null) return;
  const names = [document.metadata.name, ...way].join(' -> ');
  yield {
    code: 'recursive-call',
    message: `these runbooks call each other: ${names}`,
    path: [...path, 'call', 'runbook'],
  };
}

/** The names of the runbooks over which a call comes back; null: it does not, as far as the files tell. */
function wayBack(
  from: string,
  to: string,
  siblings: ReadonlyMap<string, RunbookDocument>,
  seen: readonly string[],
): readonly string[] | null {
  if (from === to) return [to];
  const spec = siblings.get(from)?.spec;
  if (spec === undefined || seen.includes(from)) return null;
  for (const list of [spec.steps, ...Object.values(spec.handlers ?? {})]) {
    for (const step of walkSteps(list)) {
      const way = 'call' in step ? wayBack(step.call.runbook, to, siblings, [...seen, from]) : null;
      if (way !== null) return [from, ...way];
    }
  }
  return null;
}
