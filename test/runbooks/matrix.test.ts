import { describe, expect, it } from '@jest/globals';
import { isActionStep, type RehearsalCase } from '@fettle/contracts';
import { advance, type EngineEvent } from '@fettle/runbook';
import type { ScriptedCall, ScriptedEnd } from '@fettle/runbook/source';
import { everyStep, unaccounted } from '../support/accounted.js';
import { play, readyMadeRunbooks, type Played, type ReadyMade } from '../support/ready-made.js';

/** What goes wrong at a step; each is put at every attempt that any case comes to. */
const wrongs = {
  fail: (end) => ({ ...end, state: 'failed', exitCode: 1, error: { code: 'injected', message: 'injected' } }),
  'time-out': (end) => ({ ...end, takesMs: Number.MAX_SAFE_INTEGER }),
  unreachable: (end) => ({ ...end, state: 'unreachable', error: { code: 'host-unreachable', message: 'injected' } }),
  unknown: (end) => ({ ...end, state: 'unknown', error: { code: 'effect-uncertain', message: 'injected' } }),
  crash: (end) => ({ ...end, fault: 'crash' }),
  cancel: (end) => ({ ...end, fault: 'cancel' }),
} as const satisfies Record<string, (end: ScriptedEnd) => ScriptedEnd>;
type Wrong = keyof typeof wrongs;
const kinds = Object.keys(wrongs) as Wrong[];
const isLong = process.env.FETTLE_LONG === '1';
/** After which of them what the run undoes goes wrong as well, and how: nothing outside stops a rollback. */
const [beforeUndo, undoKinds]: readonly [readonly Wrong[], readonly Wrong[]] = isLong
  ? [kinds, ['fail', 'time-out', 'unreachable', 'unknown']]
  : [
      ['fail', 'cancel'],
      ['fail', 'unknown'],
    ];

interface Place {
  readonly path: string;
  readonly target: string | null;
  readonly phase: 'do' | 'undo';
}

interface Injection extends Place {
  /** By the number of the attempt, from 1; the last one goes for all that follow. */
  readonly wrongs: readonly (Wrong | null)[];
}

const isAt = (place: Place, call: ScriptedCall): boolean =>
  call.path === place.path && call.target === place.target && call.phase === place.phase;

function bending(injections: readonly Injection[]) {
  return (call: ScriptedCall, end: ScriptedEnd): ScriptedEnd => {
    const found = injections.find((one) => isAt(one, call));
    const wrong = found?.wrongs[Math.min(call.attempt, found.wrongs.length) - 1];
    return wrong === undefined || wrong === null ? end : wrongs[wrong](end);
  };
}

/** Each step on each target once, in the order in which they came. */
function placesOf({ calls }: Played, phase: Place['phase']): readonly Place[] {
  const places = new Map<string, Place>();
  for (const call of calls) {
    if (call.phase === phase)
      places.set(`${call.target} ${call.path}`, { path: call.path, target: call.target, phase });
  }
  return [...places.values()];
}

const told = (injections: readonly Injection[]): string =>
  injections
    .map(({ path, target, phase, wrongs: list }) => `${phase} ${path} on ${target}: ${list.join(', ')}`)
    .join('; ');

/**
 * The cases of the rehearsal that go different ways; their own faults are left out, since the matrix puts its own everywhere, and
 * without these many are the same.
 */
function casesOf(ready: ReadyMade): readonly RehearsalCase[] {
  const ways = new Map<string, RehearsalCase>();
  for (const one of ready.rehearsal.spec.cases) {
    const { calls, simulation } = play(ready, one);
    const way = calls.map(({ path, target, phase, attempt, input }) => [path, target, phase, attempt, input]);
    const key = JSON.stringify([way, simulation.targets, simulation.finish?.state, one.approvals.length]);
    if (!ways.has(key)) ways.set(key, one);
  }
  return [...ways.values()];
}

/** What the first attempts come to, by kind: always, and once before another attempt. */
function patterns(): readonly (readonly (Wrong | null)[])[] {
  const always = kinds.map((kind) => [kind]);
  const once = (['fail', 'time-out', 'unreachable', 'crash'] as const).map((kind) => [kind, null]);
  // One that may have changed something, and then nobody to ask.
  return [
    ...always,
    ...once,
    ['fail', 'unreachable'],
    ['fail', 'unknown'],
    ['fail', 'cancel'],
    ['unreachable', 'cancel'],
  ];
}

const all = readyMadeRunbooks();

describe('what is left undone', () => {
  it('is looked for in fourteen runbooks', () => {
    expect(all.map(({ name }) => name)).toEqual([
      'certificate-renewal',
      'config-rollout',
      'disk-cleanup',
      'gather-facts',
      'incident-logs',
      'patch-fleet',
      'patch-rings',
      'patch-scan',
      'postgres-maintenance',
      'rolling-reboot',
      'rolling-restart',
      'rotate-ssh-key',
      'user-offboard',
      'user-onboard',
    ]);
  });

  it.each(all.map((ready) => [ready.name, ready] as const))(
    '%s: something goes wrong at every step',
    (_name, ready) => {
      const problems: string[] = [];
      const [reached, undone] = [new Set<string>(), new Set<string>()];
      let worlds = 0;
      const judge = (one: RehearsalCase, injections: readonly Injection[]): Played => {
        const played = play(ready, one, bending(injections));
        worlds += 1;
        for (const { id, phase } of played.calls) (phase === 'do' ? reached : undone).add(id);
        const found = unaccounted(ready, played);
        for (const problem of found) problems.push(`${one.name}: ${told(injections)}: ${problem}`);
        return played;
      };
      for (const one of casesOf(ready)) {
        for (const place of placesOf(judge(one, []), 'do')) {
          for (const pattern of patterns()) {
            const first = { ...place, wrongs: pattern };
            // Whatever it makes the run undo goes wrong, too.
            for (const undo of placesOf(judge(one, [first]), 'undo')) {
              const [only] = pattern.length === 1 ? pattern : [];
              const goesOn = only !== null && only !== undefined && beforeUndo.includes(only);
              for (const kind of goesOn ? undoKinds : []) judge(one, [first, { ...undo, wrongs: [kind] }]);
            }
          }
        }
      }
      expect(problems).toEqual([]);
      // No step and no rollback that none of this came to.
      const actions = [...everyStep(ready.spec)].filter(isActionStep);
      expect(actions.map(({ id }) => id).filter((id) => !reached.has(id))).toEqual([]);
      const withRollback = actions.filter(({ rollback }) => rollback !== undefined && !('none' in rollback));
      expect(withRollback.map(({ id }) => id).filter((id) => !undone.has(id))).toEqual([]);
      expect(worlds).toBeGreaterThan(actions.length * kinds.length);
    },
  );

  it('is found where nothing is undone', () => {
    const ready = all.find(({ name }) => name === 'config-rollout')!;
    const silent = { ...ready, spec: { ...ready.spec, rollback: 'nothing' as const } };
    const place = { path: 'health', target: 'app1', phase: 'do' } as const;
    const played = play(silent, casesOf(ready)[0]!, bending([{ ...place, wrongs: ['fail'] }]));
    expect(unaccounted(silent, played).map((problem) => problem.split(' ')[0])).toEqual(['keep', 'stage', 'swap']);
  });

  it('is found in a run that was called, too', () => {
    const ready = all.find(({ name }) => name === 'patch-rings')!;
    const documents = ready.documents.map((one) => {
      if (one.document?.kind !== 'Runbook' || one.document.metadata.name !== 'patch-fleet') return one;
      const { spec } = one.document;
      const steps = spec.steps.map((step) =>
        step.id === 'install' && isActionStep(step) ? { ...step, rollback: undefined } : step,
      );
      return { ...one, document: { ...one.document, spec: { ...spec, steps } } };
    });
    const silent = { ...ready, documents };
    const place = { path: 'install', target: 'canary1', phase: 'do' } as const;
    const played = play(silent, casesOf(ready)[0]!, bending([{ ...place, wrongs: ['fail'] }]));
    expect(unaccounted(silent, played)).toEqual([
      expect.stringMatching(/^run 2 of patch-fleet: install on canary1 is failed, not undone/),
    ]);
  });

  it.each(all.map((ready) => [ready.name, ready] as const))(
    '%s: cancelled, or out of time, at every moment, waits and approvals included',
    (_name, ready) => {
      const problems: string[] = [];
      for (const one of casesOf(ready)) {
        let moments = 0;
        play(ready, one, undefined, { advance: (...args) => ((moments += 1), advance(...args)) });
        for (const kind of ['cancel-requested', 'timed-out'] as const) {
          for (let moment = 1; moment <= moments; moment += 1) {
            const played = play(ready, one, undefined, { advance: stopping(kind, moment) });
            for (const problem of unaccounted(ready, played))
              problems.push(`${one.name}: ${kind} after event ${moment}: ${problem}`);
          }
        }
      }
      expect(problems).toEqual([]);
    },
  );

  it.each(all.map((ready) => [ready.name, ready] as const))(
    '%s: approvals are rejected, or nobody decides',
    (_name, ready) => {
      const decided = casesOf(ready).filter(({ approvals }) => approvals.length > 0);
      const asked = [...everyStep(ready.spec)].filter((step) => 'approval' in step);
      expect(decided.length > 0).toBe(asked.length > 0);
      for (const one of decided) {
        const silent = play(ready, { ...one, approvals: [] });
        const no = play(ready, {
          ...one,
          approvals: one.approvals.map((approval) => ({ ...approval, decision: 'reject' as const })),
        });
        for (const played of [silent, no]) {
          expect(unaccounted(ready, played)).toEqual([]);
          expect(played.simulation.finish?.state).toBe('failed');
          // What was asked for was not done.
          expect(played.calls.filter(({ effect }) => effect === 'irreversible')).toEqual([]);
        }
      }
    },
  );
});

/** The engine, to which something else happens after so many events. */
function stopping(kind: 'cancel-requested' | 'timed-out', after: number): typeof advance {
  let count = 0;
  return (program, state, event: EngineEvent) => {
    const step = advance(program, state, event);
    if ((count += 1) !== after) return step;
    const stopped = advance(program, step.state, { kind });
    return { state: stopped.state, commands: [...step.commands, ...stopped.commands] };
  };
}
