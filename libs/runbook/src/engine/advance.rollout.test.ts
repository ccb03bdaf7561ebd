import { describe, expect, it } from '@jest/globals';
import {
  countFailures,
  runbookSpecSchema,
  targetStates,
  type TargetCounts,
  type TargetShare,
  type TargetState,
} from '@fettle/contracts';
import fc from 'fast-check';
import { failureLimit, waveEnds, waveSizes } from '../rollout/wave-arithmetic.js';
import { advance } from './advance.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { initialState, type EngineState } from './state.js';
import type { ActionScopes, Program } from './program-nodes.js';
import { compileProgram } from './program.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`advance.rollout.test.ts: FETTLE_SEED=${seed}\n`);
const numRuns = process.env['FETTLE_LONG'] === '1' ? 10_000 : 1_000;

const actions: ActionScopes = {
  'ssh.run': { scope: 'target', version: 3, defaultTimeoutMs: 60_000, maxTimeoutMs: 600_000 },
  'http.request': { scope: 'control', version: 2, defaultTimeoutMs: 30_000, maxTimeoutMs: 60_000 },
};
const counts = (given: Partial<Record<TargetState, number>>): TargetCounts =>
  Object.fromEntries(targetStates.map((state) => [state, given[state] ?? 0])) as Record<TargetState, number>;

const twoSegments = [
  { id: 'first', uses: 'ssh.run' },
  { id: 'tell', uses: 'http.request', with: { url: 'https://x' } },
  { id: 'second', uses: 'ssh.run' },
];
const program = (rollout: Record<string, unknown>, steps: readonly object[] = twoSegments.slice(0, 1)): Program =>
  compileProgram(runbookSpecSchema.parse({ targets: 'true', rollout, steps }), actions);

function play(of: Program, events: readonly EngineEvent[]): EngineCommand[][] {
  let state = initialState(of);
  return events.map((event) => {
    const next = advance(of, JSON.parse(JSON.stringify(state)) as EngineState, event);
    state = next.state;
    return [...next.commands];
  });
}

const started = (pending: number): EngineEvent => ({ kind: 'started', inputs: {}, targetCounts: counts({ pending }) });
const ended = (wave: number | undefined, given: Partial<Record<TargetState, number>>, path = 'first'): EngineEvent => ({
  kind: 'segment-ended',
  path,
  counts: counts(given),
  ...(wave === undefined ? {} : { wave }),
});
const dispatched = (number: number, of: number, path = 'first'): unknown =>
  expect.objectContaining({ kind: 'dispatch-segment', path, stepIds: [path], wave: { number, of } });

describe('waves of a segment', () => {
  it('come one after the other, with the soak between them, in every segment', () => {
    const of = program({ waves: [1, '50%', '100%'], soak: '10m' }, twoSegments);
    const wait = (wave: number, path = 'first'): EngineCommand => ({ kind: 'wait', path, wave, durationMs: 600_000 });
    const commands = play(of, [
      started(4),
      ended(1, { pending: 4 }),
      { kind: 'waited', path: 'first', wave: 1 },
      ended(2, { pending: 3, failed: 1 }),
      { kind: 'waited', path: 'first', wave: 2 },
      ended(3, { pending: 3, failed: 1 }),
      { kind: 'ended', path: 'tell', state: 'succeeded' },
      ended(1, { pending: 2, succeeded: 1, failed: 1 }, 'second'),
      { kind: 'waited', path: 'second', wave: 1 },
      {
        kind: 'segment-ended',
        path: 'second',
        counts: counts({ pending: 2, succeeded: 1, failed: 1 }),
        wave: 2,
        isEmpty: true,
      },
      ended(3, { succeeded: 3, failed: 1 }, 'second'),
    ]);
    expect(commands).toEqual([
      [dispatched(1, 3)],
      [wait(1)],
      [dispatched(2, 3)],
      [wait(2)],
      [dispatched(3, 3)],
      [expect.objectContaining({ kind: 'run-control', path: 'tell' })],
      [dispatched(1, 3, 'second')],
      [wait(1, 'second')],
      [dispatched(2, 3, 'second')],
      // Wave 2 had no target left, so there is nothing to watch.
      [dispatched(3, 3, 'second')],
      [
        expect.objectContaining({
          kind: 'finish',
          state: 'failed',
          error: expect.objectContaining({ code: 'targets-failed' }),
        }),
      ],
    ]);
  });

  it('ignore repeated events and those of another wave', () => {
    const of = program({ waves: [1, '100%'], soak: '1m' });
    const commands = play(of, [
      started(2),
      ended(2, { pending: 1, succeeded: 1 }),
      ended(undefined, { pending: 1, succeeded: 1 }),
      { kind: 'waited', path: 'first', wave: 1 },
      ended(1, { pending: 1, succeeded: 1 }),
      ended(1, { pending: 1, succeeded: 1 }),
      { kind: 'waited', path: 'first', wave: 2 },
      { kind: 'waited', path: 'first', wave: 1 },
      { kind: 'waited', path: 'first', wave: 1 },
      ended(2, { succeeded: 2 }),
    ]);
    expect(commands.map((list) => list.map((command) => command.kind))).toEqual([
      ['dispatch-segment'],
      [],
      [],
      [],
      ['wait'],
      [],
      [],
      ['dispatch-segment'],
      [],
      ['finish'],
    ]);
  });

  it('stop where failures exceed the limit, and say what became of the rest', () => {
    const of = program({ waves: ['50%', '100%'], maxFailures: '10%' }, twoSegments);
    const run = { kind: 'finish', state: 'failed', isComplete: false, outputs: null, summary: null };
    expect(play(of, [started(20), ended(1, { pending: 18, failed: 2 })]).at(-1)).toEqual([dispatched(2, 2)]);
    expect(play(of, [started(20), ended(1, { pending: 1, failed: 1, unknown: 2, cancelled: 16 })]).at(-1)).toEqual([
      {
        ...run,
        error: {
          code: 'failure-limit',
          message: '3 of 20 targets failed (1 failed, 2 unknown), more than the limit of 2; 17 more went no further',
        },
      },
    ]);
    const whole = program({ maxFailures: 0 }, twoSegments);
    const noWave: EngineEvent = {
      kind: 'segment-ended',
      path: 'first',
      counts: counts({ pending: 2, unreachable: 1 }),
    };
    expect(play(whole, [started(3), noWave]).at(-1)).toEqual([
      { ...run, error: expect.objectContaining({ code: 'failure-limit' }) },
    ]);
  });

  it('are left out where nothing is pending any more', () => {
    const of = program({ waves: [1, 2, '100%'], soak: '1h' });
    const [, last] = play(of, [started(9), ended(1, { failed: 9 })]);
    expect(last).toEqual([expect.objectContaining({ kind: 'finish', state: 'failed' })]);
  });

  it('leave a program without them as it was', () => {
    expect(program({ maxConcurrency: 7 })).not.toHaveProperty('rollout');
    expect(program({ strategy: 'free', strict: true, orderBy: 'asset.name' })).not.toHaveProperty('rollout');
    const [[first]] = play(program({ maxFailures: 3 }), [started(3)]) as [[EngineCommand]];
    expect(first).toMatchObject({ kind: 'dispatch-segment', path: 'first', stepIds: ['first'] });
    expect(first).not.toHaveProperty('wave');
  });
});

const shareArbitrary: fc.Arbitrary<TargetShare> = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.integer({ min: 1, max: 100 }).map((percent): TargetShare => `${percent}%`),
);
const rolloutArbitrary = fc.record(
  {
    waves: fc.array(shareArbitrary, { minLength: 1, maxLength: 5 }),
    maxFailures: fc.oneof(
      fc.nat({ max: 12 }),
      fc.nat({ max: 100 }).map((percent): TargetShare => `${percent}%`),
    ),
    soak: fc.constantFrom('1m', '2h'),
  },
  { requiredKeys: [] },
);

/** Targets one by one, as lanes would leave them: each fails or not, and none is dispatched once too many have failed. */
class Estate {
  readonly states: TargetState[];
  readonly #fails: readonly boolean[];

  constructor(fails: readonly boolean[]) {
    this.#fails = fails;
    this.states = fails.map(() => 'pending');
  }

  counts(): TargetCounts {
    const all = counts({});
    for (const state of this.states) (all as Record<TargetState, number>)[state] += 1;
    return all;
  }

  serve(targets: readonly number[], isLast: boolean, limit: number | null): void {
    for (const target of targets) {
      if (this.states[target] !== 'pending') continue;
      if (limit !== null && countFailures(this.counts()) > limit) continue;
      this.states[target] = this.#fails[target] ? 'failed' : isLast ? 'succeeded' : 'pending';
    }
  }
}

it('any rollout dispatches each wave once, in order, soaks between them, and stops exactly by the limit', () => {
  const seen = { stopped: 0, waited: 0, succeeded: 0 };
  const isBad = fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
  const fails = fc.oneof(
    fc.array(isBad, { minLength: 1, maxLength: 60 }),
    fc.array(fc.constant(false), { minLength: 1 }),
  );
  fc.assert(
    fc.property(rolloutArbitrary, fails, fc.boolean(), (rollout, bad, isLong) => {
      const of = program(rollout, isLong ? twoSegments : twoSegments.slice(0, 1));
      const limit = failureLimit(rollout.maxFailures, bad.length);
      const ends = rollout.waves === undefined ? [bad.length] : waveEnds(rollout.waves, bad.length);
      const estate = new Estate(bad);
      let state = initialState(of);
      let event: EngineEvent = started(bad.length);
      const trace: string[] = [];
      for (let turns = 0; turns < 50; turns += 1) {
        const next = advance(of, state, event);
        state = next.state;
        const command = next.commands.at(-1)!;
        if (command.kind === 'finish') {
          expect(state.phase).toBe('ended');
          const failures = countFailures(estate.counts());
          const isStopped = limit !== null && failures > limit;
          const code = isStopped ? 'failure-limit' : failures > 0 ? 'targets-failed' : undefined;
          expect(command.error?.code).toBe(code);
          expect(command.state).toBe(code === undefined ? 'succeeded' : 'failed');
          if (isStopped) seen.stopped += 1;
          else if (failures === 0) seen.succeeded += 1;
          break;
        }
        if (command.kind === 'dispatch-segment') {
          const number = command.wave?.number ?? 1;
          expect(command.wave?.of ?? 1).toBe(ends.length);
          trace.push(`${command.path}/${number}`);
          const first = ends[number - 2] ?? 0;
          const size = waveSizes(ends)[number - 1]!;
          const isLast = command.path === 'second' || !isLong;
          estate.serve(
            Array.from({ length: size }, (_, index) => first + index),
            isLast,
            limit,
          );
          event = ended(command.wave?.number, estate.counts(), command.path);
        } else if (command.kind === 'wait') {
          seen.waited += 1;
          expect(trace.at(-1)).toBe(`${command.path}/${command.wave}`);
          trace.push(`${command.path}/soak`);
          event = { kind: 'waited', path: command.path, wave: command.wave };
        } else {
          expect(command.kind).toBe('run-control');
          event = { kind: 'ended', path: 'tell', state: 'succeeded' };
        }
      }
      expect(state.phase).toBe('ended');
      const between = rollout.soak === undefined || rollout.waves === undefined ? [] : ['soak'];
      const whole = (isLong ? ['first', 'second'] : ['first']).flatMap((path) =>
        ends.flatMap((_, index) => [...(index === 0 ? [] : between), `${index + 1}`].map((part) => `${path}/${part}`)),
      );
      expect(trace).toEqual(whole.slice(0, trace.length));
    }),
    { seed, numRuns },
  );
  expect(Math.min(seen.stopped, seen.waited, seen.succeeded)).toBeGreaterThan(0);
});
