import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonValue } from '../json.js';
import { advance } from './advance.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { makeMemo, type JournaledStep, type RunJournal } from './make-memo.js';
import type { Program, ProgramNode } from './program-nodes.js';
import { initialState, type EngineState } from './state.js';
import { childLists } from './targets.js';
import { counts, program, type StepSource } from './testing.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`resume.property.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 10_000 : 150;

type Shape = Record<string, unknown>;
const condition = fc.constantFrom(undefined, undefined, undefined, 'true', 'false', 'steps.s0.x == 1');
const onError = fc.constantFrom('fail', 'fail', 'fail', 'continue', 'mend');
const { steps: stepsArbitrary } = fc.letrec<{ step: Shape; steps: Shape[] }>((tie) => ({
  step: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.record({ uses: fc.constantFrom('ssh.run', 'http.request', 'http.request'), if: condition, onError }),
    fc.constantFrom<Shape>(
      { wait: { duration: '5s' } },
      { wait: { until: '2026-01-01T00:00:00Z' } },
      { wait: { uses: 'http.request', condition: 'true', every: '1s', timeout: '1m' } },
      { wait: { signal: 'go' } },
      { call: { runbook: 'other' } },
      { approval: { roles: ['admin'] } },
    ),
    fc.record({ parallel: fc.record({ a: tie('steps'), b: tie('steps') }), failFast: fc.boolean(), onError }),
    fc.record({
      forEach: fc.record({
        items: fc.constantFrom<unknown[]>([], ['a'], ['a', 'b', 'c'], [{ k: 1 }, { k: 2 }]),
        as: fc.constant('x'),
        concurrency: fc.constantFrom(1, 2),
        failFast: fc.boolean(),
        steps: tie('steps'),
      }),
    }),
    fc.record({
      choose: fc.tuple(
        fc.record({ when: fc.constantFrom('true', 'false', 'steps.s0.x == 1'), steps: tie('steps') }),
        fc.record({ steps: tie('steps') }),
      ),
      onError,
    }),
    fc.record({ try: tie('steps'), catch: tie('steps'), finally: tie('steps') }, { requiredKeys: ['try'] }),
  ),
  steps: fc.array(tie('step'), { minLength: 1, maxLength: 3 }),
}));

function withIds(steps: readonly Shape[], next: { id: number }): StepSource[] {
  const listed = (value: unknown): StepSource[] => withIds(value as Shape[], next);
  return steps.map((shape) => {
    const step = { ...shape, id: `s${next.id++}` } as StepSource;
    const loop = shape['forEach'] as Shape | undefined;
    const branches = shape['parallel'] as { a: unknown; b: unknown } | undefined;
    if (branches) return { ...step, parallel: { a: listed(branches.a), b: listed(branches.b) } };
    if (loop) return { ...step, forEach: { ...loop, steps: listed(loop['steps']) } };
    if ('choose' in shape) {
      return { ...step, choose: (shape['choose'] as Shape[]).map((one) => ({ ...one, steps: listed(one['steps']) })) };
    }
    const parts = ['try', 'catch', 'finally'].filter((part) => part in shape);
    return { ...step, ...Object.fromEntries(parts.map((part) => [part, listed(shape[part])])) };
  });
}

const programArbitrary = stepsArbitrary.map((steps) =>
  program(withIds(steps, { id: 0 }), { handlers: { mend: [{ id: 'mended', uses: 'http.request' }] } }),
);

/** Any steps, a `try` that leads targets through, and perhaps any steps behind it. */
const guardedArbitrary = fc
  .tuple(stepsArbitrary, stepsArbitrary, stepsArbitrary, fc.option(stepsArbitrary, { nil: [] }))
  .map(([before, inside, last, after]) => {
    const next = { id: 0 };
    const [ahead, body, tidy, behind] = [before, inside, last, after].map((shapes) => withIds(shapes, next));
    const restart = { id: 'restart', uses: 'ssh.run' };
    const set = { id: 'silence', uses: 'http.request', onError: 'continue' };
    // A `finally` without work of its own, such as a loop over nothing, clears nothing away.
    const clear = { id: 'unsilence', uses: 'http.request', onError: 'continue' };
    const guarded = { id: 'guarded', try: [set, restart, ...body!], finally: [clear, ...tidy!] };
    return program([...ahead!, guarded, ...behind!], { handlers: { mend: [{ id: 'mended', uses: 'http.request' }] } });
  });

/** A world in which each step always ends in the same way, by its path. */
class World {
  constructor(readonly salt: number) {}

  end(path: string): { state: 'succeeded' | 'failed'; output: JsonValue } {
    let hash = this.salt >>> 0;
    for (const character of path) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
    hash ^= hash >>> 13;
    return { state: hash % 7 === 0 ? 'failed' : 'succeeded', output: { x: hash % 2 } };
  }
}

/** Plays a run as a host would, and keeps its journal. */
class Host {
  readonly steps = new Map<string, JournaledStep>();
  readonly chosen: Record<string, number> = {};
  readonly passed: string[] = [];
  readonly caught: string[] = [];
  readonly onTargets = new Set<string>();
  readonly executed: string[] = [];
  finish: Extract<EngineCommand, { kind: 'finish' }> | null = null;
  answered = 0;
  state: EngineState;
  readonly #open = new Map<string, { command: EngineCommand; isCancelled: boolean }>();

  constructor(
    readonly program: Program,
    readonly world: World,
    state = initialState(program),
    /** A target fails in each segment, and the run bears it. */
    readonly hasFailing = false,
  ) {
    this.state = state;
    this.#feed({ kind: 'started', inputs: {}, targetCounts: counts({ pending: 3 }) });
  }

  /** Until the end, or so many answers. */
  play(limit = Number.POSITIVE_INFINITY): this {
    while (this.finish === null && this.answered < limit) {
      const next = [...this.#open].find(([path]) => !path.endsWith('#deadline')) ?? [...this.#open][0];
      if (next === undefined) throw new Error('nothing is open, and the run has not ended');
      this.#open.delete(next[0]);
      this.answered += 1;
      this.#feed(this.#answer(next[0], next[1]));
    }
    return this;
  }

  cancel(): this {
    if (this.finish === null) this.#feed({ kind: 'cancel-requested' });
    return this;
  }

  get journal(): RunJournal {
    const { steps, chosen, passed, caught, onTargets } = this;
    const isComplete = this.finish?.isComplete === true;
    // The target that fails does so in the first segment, and comes to no other.
    const begun = [...onTargets];
    const lacking = this.hasFailing ? begun : [];
    return { steps: [...steps.values()], chosen, passed, caught, onTargets: begun, lacking, isComplete };
  }

  #feed(event: EngineEvent): void {
    const next = advance(this.program, JSON.parse(JSON.stringify(this.state)) as EngineState, event);
    this.state = next.state;
    for (const command of next.commands) this.#take(command);
  }

  #take(command: EngineCommand): void {
    switch (command.kind) {
      case 'finish':
        this.finish = command;
        return;
      case 'note':
        if (command.note === 'branch-chosen') this.chosen[command.path] = Number(command.data['branch']);
        if (command.note === 'failure-passed') this.passed.push(command.path);
        if (command.note === 'failure-caught') this.caught.push(command.path);
        return;
      case 'skip-step':
        return this.#journal(command.path, 'skipped');
      case 'fail-step':
        return this.#journal(command.path, 'failed', null, command.error);
      case 'free-capacity':
        return;
      case 'cancel': {
        const open = this.#open.get(command.path);
        if (open) open.isCancelled = true;
        return;
      }
      case 'dispatch-segment':
        for (const id of command.stepIds) this.onTargets.add(command.prefix + id);
        break;
      default:
        if (isStep(command)) {
          this.executed.push(command.path);
          this.#journal(command.path, 'started');
        }
    }
    this.#open.set(command.path, { command, isCancelled: false });
  }

  #answer(path: string, { command, isCancelled }: { command: EngineCommand; isCancelled: boolean }): EngineEvent {
    if (command.kind === 'dispatch-segment') {
      const given = this.hasFailing ? { pending: 2, failed: 1 } : { pending: 3 };
      return { kind: 'segment-ended', path, counts: counts(given), ...(isCancelled ? { isCancelled } : {}) };
    }
    if (isCancelled) {
      if (isStep(command)) this.#journal(path, 'cancelled');
      return { kind: 'ended', path, state: 'cancelled' };
    }
    if (!isStep(command)) {
      return command.kind === 'wait' ? { kind: 'waited', path } : { kind: 'ended', path, state: 'succeeded' };
    }
    if (command.kind === 'wait' || command.kind === 'wait-until') {
      this.#journal(path, 'succeeded');
      return { kind: 'waited', path };
    }
    const isLook = command.kind === 'run-control' && command.condition !== undefined;
    const { state, output } = isLook ? { state: 'succeeded' as const, output: { x: 1 } } : this.world.end(path);
    const error = state === 'failed' ? { code: 'boom', message: 'it broke' } : undefined;
    this.#journal(path, state, state === 'succeeded' ? output : null, error ?? null, isLook ? true : null);
    return {
      ...{ kind: 'ended', path, state },
      ...(error === undefined ? { output } : { error }),
      ...(isLook ? { holds: true } : {}),
    };
  }

  #journal(
    path: string,
    state: JournaledStep['state'],
    output: JsonValue = null,
    error: JournaledStep['error'] = null,
    holds: boolean | null = null,
  ): void {
    const rest = { isUndone: false, resolvedAs: null, isCarried: false };
    this.steps.set(path, { path, state, output, error, holds, ...rest });
  }
}

/** Steps that stand in the journal by themselves. */
function isStep(command: EngineCommand): boolean {
  return (
    ['run-control', 'wait-until', 'call', 'ask-approval', 'await-signal'].includes(command.kind) ||
    (command.kind === 'wait' && command.isStep === true)
  );
}

/** Ids of the steps that may be done again: approvals, and all of a `try` with a `finally`. */
function repeatable(nodes: readonly ProgramNode[], isInside = false): string[] {
  return nodes.flatMap((node) => {
    const inside = isInside || (node.kind === 'try' && node.finally !== null);
    const own = inside || node.kind === 'approval' ? [node.id] : [];
    return [...own, ...childLists(node).flatMap((list) => repeatable(list, inside))];
  });
}

const idOf = (path: string): string => path.replace(/^.*\]\//, '');

describe('a run that is taken up', () => {
  it('comes to the end of one that was not interrupted, wherever that stopped, and does nothing twice', () => {
    fc.assert(
      fc.property(
        programArbitrary,
        fc.nat(),
        fc.nat({ max: 25 }),
        fc.constantFrom('lost', 'cancelled', 'lost twice'),
        (of, salt, stop, how) => {
          const world = new World(salt);
          const whole = new Host(of, world).play();
          const first = new Host(of, world).play(stop);
          if (how === 'cancelled') first.cancel().play();
          let before = first;
          let journal = first.journal;
          if (how === 'lost twice') {
            before = new Host(of, world, initialState(of, makeMemo(of, journal))).play(stop % 5);
            journal = merged(of, journal, before.journal);
          }
          const memo = makeMemo(of, journal);
          const resumed = new Host(of, world, initialState(of, memo)).play();
          expect(resumed.finish?.state).toBe(whole.finish?.state);
          const free = new Set(repeatable(of.nodes));
          const good = journal.steps.filter((step) => step.state === 'succeeded').map((step) => step.path);
          const twice = resumed.executed.filter((path) => good.includes(path) && !free.has(idOf(path)));
          expect(twice).toEqual([]);
        },
      ),
      { seed, numRuns: runs },
    );
  });
});

describe('a run of which only targets failed, and that is taken up', () => {
  it('does all of a `try` again that leads targets through, as its `finally` has cleared away what they rely on', () => {
    let reached = 0;
    fc.assert(
      fc.property(guardedArbitrary, fc.nat(), (of, salt) => {
        const world = new World(salt);
        const first = new Host(of, world, initialState(of), true).play();
        if (first.finish?.isComplete !== true || !first.onTargets.has('restart')) return;
        reached += 1;
        expect(first.finish.error?.code).toBe('targets-failed');
        const memo = makeMemo(of, first.journal);
        const resumed = new Host(of, world, initialState(of, memo)).play();
        const inside = new Set(repeatable(of.nodes.filter(({ id }) => id === 'guarded')));
        const within = (host: Host): string[] => host.executed.filter((path) => inside.has(idOf(path)));
        expect(within(resumed)).toEqual(within(first));
        expect(within(resumed)).toContain('silence');
        expect([...resumed.onTargets]).toContain('restart');
      }),
      { seed, numRuns: runs },
    );
    process.stdout.write(`resume.property.test.ts: ${reached} of ${runs} runs came to their end with failed targets\n`);
    expect(reached).toBeGreaterThan(0);
  });
});

/** As the database has it of a run that was resumed: what it knew from before, and what it did itself. */
function merged(of: Program, first: RunJournal, second: RunJournal): RunJournal {
  const known = makeMemo(of, first);
  const carried = first.steps.filter((step) => Object.hasOwn(known.ends, step.path));
  const steps = new Map(carried.map((step) => [step.path, { ...step, isCarried: true }]));
  for (const step of second.steps) steps.set(step.path, step);
  return { ...second, steps: [...steps.values()], chosen: { ...known.chosen, ...second.chosen } };
}
