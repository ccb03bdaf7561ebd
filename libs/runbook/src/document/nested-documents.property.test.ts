import { describe, expect, it } from '@jest/globals';
import { walkSteps } from '@fettle/contracts';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileRunbook } from '../engine/program.js';
import { diffDocuments } from './diff-documents.js';
import { parseDocuments } from './parse-documents.js';
import { testActions } from './testing.js';
import { validateDocuments } from './validate-documents.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`nested-documents.property.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 10_000 : 80;

const everyStep = readFileSync(fileURLToPath(new URL('../fixtures/every-step.yaml', import.meta.url)), 'utf8');

/** What expressions read, right in some places and wrong in others. */
const reads = fc.oneof(
  { arbitrary: fc.constantFrom('"x"', 'inputs.name', 'run.id'), weight: 30 },
  fc.constantFrom(
    'asset.name',
    'item.n',
    'error.code',
    'has(steps.s3.status) ? 1 : 2',
    'steps.s1.status',
    'steps.s2.stdout',
  ),
  fc.constantFrom('item.m', 'result', 'steps.s9', 'nonsense(', '1 + '),
);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 5 }, value);

type Draft = Readonly<Record<string, unknown>>;
const common = fc.record({
  if: maybe(fc.oneof({ arbitrary: fc.constant('inputs.name == "x"'), weight: 5 }, reads)),
  onError: maybe(fc.constantFrom('fail', 'continue', 'continue', 'continue', 'h1', 'oops')),
  capacity: maybe(fc.array(fc.constantFrom('k:a', 'b:${{ inputs.name }}'), { minLength: 1, maxLength: 2 })),
});
const template = reads.map((source) => `\${{ ${source} }}`);
const target = template.map((text): Draft => ({ uses: 'ssh.run', with: { argv: ['x', text] } }));
const control = template.map((text): Draft => ({ uses: 'http.request', with: { url: 'https://x/', body: text } }));

/** A step of any kind without its id; ids are given afterwards, so that most documents have no duplicates. */
const { steps: anySteps } = fc.letrec<{ step: Draft; steps: Draft[] }>((tie) => {
  const steps = tie('steps');
  const flow = fc.oneof(
    fc.tuple(steps, steps).map(([a, b]): Draft => ({ parallel: { a, b } })),
    fc
      .tuple(fc.constantFrom('inputs.list', [1, 2], 'steps.s1.status'), fc.constantFrom('n', 'n', 'm'), steps)
      .map(([items, as, inside]): Draft => ({ forEach: { items, as, steps: inside }, outputs: { n: 'result' } })),
    fc.tuple(maybe(reads), steps, steps).map(([when, a, b]): Draft => ({ choose: [{ when, steps: a }, { steps: b }] })),
    fc
      .tuple(steps, maybe(steps), maybe(steps))
      .map(([body, caught, last]): Draft => ({ try: body, catch: caught, finally: last })),
  );
  const leaf = fc.oneof(
    fc.constantFrom<Draft>(
      { approval: { roles: ['operator'] } },
      { wait: { duration: '5s' } },
      { wait: { signal: 'go' } },
      { call: { runbook: 'other', targets: 'inherit' } },
    ),
    target,
    control,
  );
  const step = fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { arbitrary: leaf, weight: 4 },
    { arbitrary: flow, weight: 2 },
  );
  return {
    step: fc.tuple(step, common).map(([body, rest]) => ({ ...body, ...rest })),
    steps: fc.array(tie('step'), { minLength: 1, maxLength: 2 }),
  };
});

/** Gives ids in the order of the text. */
function withIds(value: unknown, next: { id: number }): unknown {
  if (Array.isArray(value)) return (value as unknown[]).map((item) => withIds(item, next));
  if (typeof value !== 'object' || value === null) return value;
  const isStep = ['uses', 'parallel', 'forEach', 'choose', 'call', 'approval', 'wait', 'try'].some(
    (kind) => kind in value,
  );
  const id = isStep ? { id: `s${(next.id += 1)}` } : {};
  return { ...id, ...Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withIds(item, next)])) };
}

const documents = fc.tuple(anySteps, anySteps).map(([steps, h1]) => {
  const inputs = { type: 'object', properties: { name: { type: 'string' }, list: { type: 'array' } } };
  const spec = withIds({ inputs, targets: 'true', steps, handlers: { h1 } }, { id: 0 });
  return JSON.stringify({ apiVersion: 'fettle/v1', kind: 'Runbook', metadata: { name: 'a' }, spec });
});

describe(`nested documents, ${runs} each`, () => {
  it('give findings at a place in the text, never an exception, and what has no errors compiles', () => {
    let good = 0;
    const check = (text: string): void => {
      const parsed = parseDocuments(text, { file: 'f.yaml' });
      expect(parsed.findings).toEqual([]);
      const findings = validateDocuments(parsed.documents, { actions: testActions });
      for (const { path, position } of findings) {
        expect(path).toMatch(/^spec\./);
        expect(position?.column).toBeGreaterThan(0);
      }
      const document = parsed.documents[0]?.document;
      if (document?.kind !== 'Runbook' || findings.some(({ severity }) => severity === 'error')) return;
      good += 1;
      const { targetCodes } = compileRunbook(document.spec, testActions);
      const onTargets = [...walkSteps(document.spec.steps)].filter((step) => 'uses' in step && step.uses === 'ssh.run');
      // Handlers are laid out once for each step that names them, so there may be more.
      expect(targetCodes.length).toBeGreaterThanOrEqual(onTargets.length);
      for (const { index, next, onFailure } of targetCodes) {
        expect(next).toBeGreaterThan(index);
        if (onFailure !== null) expect(onFailure.index).toBeGreaterThan(index);
      }
    };
    fc.assert(fc.property(documents, check), { seed, numRuns: runs, endOnFailure: true });
    process.stdout.write(`${good} of ${runs} without errors\n`);
    expect(good).toBeGreaterThan(runs / 100);
  }, 600_000);

  it('of every kind of step, with members cut out or swapped, are told what is wrong with them', () => {
    const { documents: parsed, findings } = parseDocuments(everyStep, { file: 'f.yaml' });
    expect(findings).toEqual([]);
    const value = parsed[0]?.value;
    const paths = pathsOf(value).filter((path) => path[0] === 'spec' && path.length > 1);
    const edit = fc.tuple(
      fc.constantFrom(...paths),
      fc.constantFrom(...paths),
      fc.constantFrom('cut', 'swap', 'rename', 'junk'),
    );
    const check = ([path, other, how]: readonly [
      readonly (string | number)[],
      readonly (string | number)[],
      string,
    ]): void => {
      const changed = JSON.stringify(edited(value, path, how === 'swap' ? valueAt(value, other) : how));
      const result = parseDocuments(changed, { file: 'f.yaml' });
      const all = [...result.findings, ...validateDocuments(result.documents, { actions: testActions })];
      for (const { position } of all) expect(position?.line).toBe(1);
      if (result.documents[0]?.document === null) expect(result.findings.length).toBeGreaterThan(0);
      const lines = diffDocuments(value, result.documents[0]?.value);
      if (how !== 'swap') expect(lines.length).toBeGreaterThan(0);
    };
    fc.assert(fc.property(edit, check), { seed, numRuns: runs, endOnFailure: true });
  });
});

function pathsOf(value: unknown, path: readonly (string | number)[] = []): readonly (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [path, ...keys.flatMap((key) => pathsOf((value as Record<string | number, unknown>)[key], [...path, key]))];
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown>)[key], value);
}

function edited(value: unknown, path: readonly (string | number)[], how: unknown): unknown {
  const copy = structuredClone(value);
  const parent = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  const key = path.at(-1) ?? '';
  if (how === 'rename' && !Array.isArray(parent)) parent[`${key}s`] = parent[key];
  if (how === 'cut' || how === 'rename') {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else Reflect.deleteProperty(parent, key);
  } else parent[key] = how;
  return copy;
}
