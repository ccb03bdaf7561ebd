import { describe, expect, it } from '@jest/globals';
import { runbookSpecSchema, type Step } from '@fettle/contracts';
import fc from 'fast-check';
import { compileRunbook } from './program.js';
import { nextAfterFailure, nextAfterSuccess, type TargetCode } from './target-code.js';
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

/** The naive model: the tree, gone through as it reads. `fails`: whether the nth step that is carried out fails. */
class Model {
  readonly path: string[] = [];

  constructor(
    readonly fails: (count: number) => boolean,
    readonly handlers: Readonly<Record<string, readonly Step[]>>,
  ) {}

  /** True: it came through. */
  list(steps: readonly Step[], scope: string): boolean {
    return steps.every((step) => this.step(step, scope));
  }

  step(step: Step, scope: string): boolean {
    const handler = this.handlers[step.onError];
    if (handler !== undefined) {
      return this.body(step, scope) || this.list(handler, `${scope}${step.id}!${step.onError}/`);
    }
    return this.body(step, scope) || step.onError === 'continue';
  }

  body(step: Step, scope: string): boolean {
    if (!('try' in step)) {
      this.path.push(`${scope}${step.id}`);
      return !this.fails(this.path.length);
    }
    let through = this.list(step.try, scope);
    if (!through && step.catch !== undefined) through = this.list(step.catch, scope);
    return (step.finally === undefined || this.list(step.finally, scope)) && through;
  }
}

function follow(codes: readonly TargetCode[], fails: (count: number) => boolean): { path: string[]; through: boolean } {
  const path: string[] = [];
  let at = 0;
  let failing = 0;
  while (at < codes.length) {
    const code = codes[at]!;
    path.push(code.path);
    const next = fails(path.length) ? nextAfterFailure(code, failing) : nextAfterSuccess(code, failing);
    if (next.kind === 'end') return { path, through: false };
    // Forward only: so that a lane's barrier by index holds.
    expect(next.index).toBeGreaterThan(at);
    at = next.index;
    failing = next.failing;
  }
  return { path, through: true };
}

describe('steps of a target laid out one after the other', () => {
  it('lead through try, catch, finally and handlers as the tree reads', () => {
    let caught = 0;
    fc.assert(
      fc.property(stepsArbitrary, fc.array(fc.boolean(), { maxLength: 30 }), (shapes, script) => {
        const steps = withIds(shapes, { id: 0 });
        const spec = runbookSpecSchema.parse({ targets: 'true', handlers, steps });
        const { targetCodes, program } = compileRunbook(spec, actions);
        expect(program.nodes).toHaveLength(1);
        expect(new Set(targetCodes.map((code) => code.path)).size).toBe(targetCodes.length);
        const fails = (count: number): boolean => script[count - 1] ?? false;
        const model = new Model(fails, spec.handlers ?? {});
        const through = model.list(spec.steps, '');
        expect(follow(targetCodes, fails)).toEqual({ path: model.path, through });
        if (through && script.slice(0, model.path.length).includes(true)) caught += 1;
      }),
      { seed, numRuns },
    );
    expect(caught).toBeGreaterThan(0);
  });
});
