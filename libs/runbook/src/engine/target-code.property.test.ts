import { describe, expect, it } from '@jest/globals';
import { runbookSpecSchema, STOPPED, type Step } from '@fettle/contracts';
import fc from 'fast-check';
import { compileRunbook } from './program.js';
import type { TargetCode } from './target-code.js';
import { finallyLeft, nextAfterFailure, nextAfterStop, nextAfterSuccess } from './target-way.js';
import { actions } from './testing.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`target-code.property.test.ts: FETTLE_SEED=${seed}\n`);
const numRuns = process.env['FETTLE_LONG'] === '1' ? 10_000 : 1_000;

type Shape = Record<string, unknown>;
const onError = fc.constantFrom('fail', 'fail', 'continue', 'mend');
const { steps: stepsArbitrary } = fc.letrec<{ step: Shape; steps: Shape[] }>((tie) => ({
  step: fc.oneof(
    { maxDepth: 4 },
    fc.record({ uses: fc.constant('ssh.run'), onError }),
    fc.record(
      { try: tie('steps'), catch: tie('steps'), finally: tie('steps'), onError },
      { requiredKeys: ['try', 'onError'] },
    ),
  ),
  steps: fc.array(tie('step'), { minLength: 1, maxLength: 3 }),
}));

function withIds(steps: readonly Shape[], next: { id: number }): Shape[] {
  return steps.map((shape) => {
    const step: Shape = { ...shape, id: `s${next.id++}` };
    for (const part of ['try', 'catch', 'finally'])
      if (part in shape) step[part] = withIds(shape[part] as Shape[], next);
    return step;
  });
}

const handlers = {
  mend: [
    { id: 'h0', uses: 'ssh.run' },
    { id: 'h1', uses: 'ssh.run', onError: 'continue' },
  ],
};

type Way = 'through' | 'failed' | 'stopped';

/** When a cancel comes: before the nth step that is carried out begins, or while it is in flight. */
interface Stop {
  readonly at: number;
  readonly isBefore: boolean;
}

/** The naive model: the tree, gone through as it reads. `fails`: whether the nth step that is carried out fails. */
class Model {
  readonly path: string[] = [];
  /** Of those in which the way stands. */
  #finallys = 0;
  #isStopped = false;
  hasFailed = false;

  constructor(
    readonly fails: (count: number) => boolean,
    readonly handlers: Readonly<Record<string, readonly Step[]>>,
    readonly stop: Stop | null = null,
  ) {}

  list(steps: readonly Step[], scope: string): Way {
    for (const step of steps) {
      const way = this.step(step, scope);
      if (way !== 'through') return way;
    }
    return 'through';
  }

  step(step: Step, scope: string): Way {
    const handler = this.handlers[step.onError];
    const way = this.body(step, scope);
    if (way !== 'failed') return way;
    if (handler !== undefined) return this.list(handler, `${scope}${step.id}!${step.onError}/`);
    return step.onError === 'continue' ? 'through' : 'failed';
  }

  body(step: Step, scope: string): Way {
    if (!('try' in step)) return this.leaf(`${scope}${step.id}`);
    const before = this.path.length;
    let way = this.list(step.try, scope);
    if (way === 'failed' && step.catch !== undefined) way = this.list(step.catch, scope);
    // Whoever is stopped before the first step of a try has nothing to put in order.
    if (step.finally === undefined || (way === 'stopped' && this.path.length === before)) return way;
    this.#finallys += 1;
    const last = this.list(step.finally, scope);
    this.#finallys -= 1;
    const isFailed = last === 'failed' || way === 'failed';
    if (!this.#isStopped || this.#finallys > 0) return isFailed ? 'failed' : way;
    if (isFailed) this.hasFailed = true;
    return 'stopped';
  }

  leaf(path: string): Way {
    const count = this.path.length + 1;
    const isHere = this.stop?.at === count && !this.#isStopped;
    if (isHere) this.#isStopped = true;
    if (isHere && this.stop?.isBefore === true && this.#finallys === 0) return 'stopped';
    this.path.push(path);
    // What stands in a `finally` goes to its end.
    if (isHere && this.#finallys === 0) return 'stopped';
    return this.fails(count) ? 'failed' : 'through';
  }
}

interface Followed {
  readonly path: readonly string[];
  readonly end: 'through' | 'failed' | 'cancelled';
}

function follow(codes: readonly TargetCode[], fails: (count: number) => boolean, stop: Stop | null = null): Followed {
  const path: string[] = [];
  let at = 0;
  let failing = 0;
  while (at < codes.length) {
    const code = codes[at]!;
    const isHere = stop?.at === path.length + 1 && (failing & STOPPED) === 0;
    const stopped = isHere ? nextAfterStop(code, failing, !stop.isBefore) : undefined;
    if (isHere && !stop.isBefore && code.finallys.length === 0) path.push(code.path);
    if (stopped === null) return { path, end: 'cancelled' };
    if (stopped !== undefined && stopped.index !== at) {
      expect(stopped.index).toBeGreaterThan(at);
      [at, failing] = [stopped.index, stopped.failing];
      continue;
    }
    failing = stopped?.failing ?? failing;
    path.push(code.path);
    const next = fails(path.length) ? nextAfterFailure(code, failing) : nextAfterSuccess(code, failing);
    if (next.kind === 'end') return { path, end: next.state };
    // Forward only: so that a lane's barrier by index holds.
    expect(next.index).toBeGreaterThan(at);
    at = next.index;
    failing = next.failing;
  }
  expect(failing & STOPPED).toBe(0);
  return { path, end: 'through' };
}

describe('steps of a target laid out one after the other', () => {
  const compiled = (shapes: readonly Shape[]) => {
    const spec = runbookSpecSchema.parse({ targets: 'true', handlers, steps: withIds(shapes, { id: 0 }) });
    return { spec, ...compileRunbook(spec, actions) };
  };

  it('lead through try, catch, finally and handlers as the tree reads', () => {
    let caught = 0;
    fc.assert(
      fc.property(stepsArbitrary, fc.array(fc.boolean(), { maxLength: 30 }), (shapes, script) => {
        const { spec, targetCodes, program } = compiled(shapes);
        expect(program.nodes).toHaveLength(1);
        expect(new Set(targetCodes.map((code) => code.path)).size).toBe(targetCodes.length);
        const fails = (count: number): boolean => script[count - 1] ?? false;
        const model = new Model(fails, spec.handlers ?? {});
        const end = model.list(spec.steps, '');
        expect(follow(targetCodes, fails)).toEqual({ path: model.path, end });
        if (end === 'through' && script.slice(0, model.path.length).includes(true)) caught += 1;
      }),
      { seed, numRuns },
    );
    expect(caught).toBeGreaterThan(0);
  });

  it('lead a target that a cancel stops through the finally around it, and nowhere else', () => {
    const seen = new Map<string, number>();
    const stops = fc.record({ at: fc.integer({ min: 1, max: 8 }), isBefore: fc.boolean() });
    fc.assert(
      fc.property(stepsArbitrary, fc.array(fc.boolean(), { maxLength: 30 }), stops, (shapes, script, stop) => {
        const { spec, targetCodes } = compiled(shapes);
        const fails = (count: number): boolean => script[count - 1] ?? false;
        const model = new Model(fails, spec.handlers ?? {}, stop);
        const way = model.list(spec.steps, '');
        const end = way === 'stopped' ? (model.hasFailed ? 'failed' : 'cancelled') : way;
        expect(follow(targetCodes, fails, stop)).toEqual({ path: model.path, end });
        const cleaned =
          way === 'stopped' && model.path.length >= stop.at + (stop.isBefore ? 0 : 1) ? ', put in order' : '';
        seen.set(`${end}${cleaned}`, (seen.get(`${end}${cleaned}`) ?? 0) + 1);
      }),
      { seed, numRuns },
    );
    for (const one of ['cancelled', 'cancelled, put in order', 'failed, put in order', 'through'])
      expect([...seen.keys()]).toContain(one);
  });

  it('say what of the finally is left', () => {
    const one = (id: string): Shape => ({ id, uses: 'ssh.run' });
    const inner = { id: 't1', try: [one('b')], catch: [one('x')], finally: [one('c'), one('c2')] };
    const guarded = { id: 't0', try: [one('a'), inner, one('e')], finally: [one('d'), one('d2')] };
    const { targetCodes } = compileRunbook(runbookSpecSchema.parse({ targets: 'true', steps: [guarded] }), actions);
    const left = (path: string, hasBegun: boolean): string =>
      finallyLeft(
        targetCodes,
        targetCodes.find((code) => code.path === path)!,
        hasBegun,
      ).join(' ');
    expect(left('a', false)).toBe('');
    expect(left('a', true)).toBe('d d2');
    expect(left('b', false)).toBe('d d2');
    expect(left('b', true)).toBe('c c2 d d2');
    expect(left('x', false)).toBe('c c2 d d2');
    expect(left('c', false)).toBe('c c2 d d2');
    expect(left('c', true)).toBe('c2 d d2');
    expect(left('d2', true)).toBe('');
  });
});
