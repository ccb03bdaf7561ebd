import { nestedSteps, walkSteps, type RunbookSpec, type Step } from '@fettle/contracts';
import type { ActionScopes } from '../engine/program-nodes.js';
import { undoOf } from '../engine/step-undo.js';
import type { JsonPath } from '../json.js';
import type { RehearsedEntry } from './journal.js';

export const coverageKinds = ['step', 'branch', 'gate', 'catch', 'finally', 'handler', 'rollback'] as const;
export type CoverageKind = (typeof coverageKinds)[number];

/** Something in a runbook that a rehearsal can come to. */
export interface CoveragePoint {
  readonly kind: CoverageKind;
  /** Id of the step; of a handler, its name; `rollout` of the gate between waves. */
  readonly step: string;
  /** Which branch: its name or number from 1. */
  readonly branch?: string | undefined;
  readonly path: JsonPath;
  readonly isTaken: boolean;
}

export interface CoverageShare {
  readonly taken: number;
  readonly total: number;
}

export interface Coverage {
  readonly runbook: string;
  /** Steps, branches, and the gate between waves, which a rehearsal has looked at. */
  readonly steps: CoverageShare;
  /** What is there for the case that something fails: `catch`, `finally`, handlers and rollbacks. */
  readonly compensation: CoverageShare;
  /** Of these, the rollbacks of steps. */
  readonly rollbacks: CoverageShare;
  readonly points: readonly CoveragePoint[];
}

/** What was come to of a runbook, by the entries of all runs of it. */
export function coverageOf(
  runbook: string,
  spec: RunbookSpec,
  entries: readonly RehearsedEntry[],
  actions: ActionScopes,
): Coverage {
  const own = entries.filter((entry) => entry.runbook === runbook);
  const executed = idsOf(own.filter(({ kind }) => kind === 'step-started'));
  const seen = idsOf(own.filter(({ step }) => step !== null));
  const undone = idsOf(own.filter(({ kind }) => kind === 'undo-started'));
  const isReached = (step: Step): boolean =>
    seen.has(step.id) || nestedSteps(step).some(({ steps }) => steps.some(isReached));
  const gates = gatePoints(spec, own);
  const points = pointsOf(spec, actions).map(({ step, block, ...point }): CoveragePoint => {
    if (point.kind === 'rollback') return { ...point, step: step.id, isTaken: undone.has(step.id) };
    if (block !== undefined) return { ...point, step: point.name ?? step.id, isTaken: block.some(isReached) };
    const isPlain = nestedSteps(step).length === 0;
    return { ...point, step: step.id, isTaken: isPlain ? executed.has(step.id) : isReached(step) };
  });
  const share = (kinds: readonly CoverageKind[]): CoverageShare => {
    const of = [...points, ...gates].filter(({ kind }) => kinds.includes(kind));
    return { taken: of.filter(({ isTaken }) => isTaken).length, total: of.length };
  };
  return {
    runbook,
    steps: share(['step', 'branch', 'gate']),
    compensation: share(['catch', 'finally', 'handler', 'rollback']),
    rollbacks: share(['rollback']),
    points: [...points, ...gates].map(({ kind, step, branch, path, isTaken }) => ({
      kind,
      step,
      ...(branch === undefined ? {} : { branch }),
      path,
      isTaken,
    })),
  };
}

/** A gate opens, or stays closed, by what it looks at: a rehearsal that never comes to it says nothing of that. */
function gatePoints({ rollout }: RunbookSpec, entries: readonly RehearsedEntry[]): readonly CoveragePoint[] {
  if (rollout.gate === undefined || rollout.waves === undefined) return [];
  const isTaken = entries.some(({ kind }) => kind === 'gate-passed' || kind === 'gate-closed');
  return [{ kind: 'gate', step: 'rollout', path: ['spec', 'rollout', 'gate'], isTaken }];
}

/** From 0 to 1; nothing to come to is all of it. */
export function shareOf({ taken, total }: CoverageShare): number {
  return total === 0 ? 1 : taken / total;
}

/** Steps that paths lead to: `each[ber]/restart` and `deploy!recover` are about `restart`, `deploy`. */
function idsOf(entries: readonly RehearsedEntry[]): ReadonlySet<string> {
  return new Set(entries.flatMap(({ step }) => (step === null ? [] : [idOf(step)])));
}

function idOf(path: string): string {
  const last = path.slice(path.lastIndexOf('/') + 1);
  return /^[a-z0-9_]+/.exec(last)?.[0] ?? last;
}

interface Point {
  readonly kind: CoverageKind;
  readonly step: Step;
  /** Of a handler. */
  readonly name?: string;
  readonly branch?: string;
  readonly path: JsonPath;
  /** Taken where any of these is come to; absent: the step itself. */
  readonly block?: readonly Step[];
}

function pointsOf(spec: RunbookSpec, actions: ActionScopes): readonly Point[] {
  const points: Point[] = [];
  const visit = (steps: readonly Step[], base: JsonPath): void => {
    for (const [index, step] of steps.entries()) {
      const path = [...base, index];
      points.push({ kind: 'step', step, path });
      points.push(...blocksOf(step, path, actions));
      for (const list of nestedSteps(step)) visit(list.steps, [...path, ...list.path]);
    }
  };
  visit(spec.steps, ['spec', 'steps']);
  const named = new Set([...walkSteps(spec.steps)].map(({ onError }) => onError));
  for (const [name, steps] of Object.entries(spec.handlers ?? {})) {
    const path = ['spec', 'handlers', name];
    const [first] = steps;
    if (first === undefined || !(named.has(name) || isNamedByHandlers(spec, name))) continue;
    points.push({ kind: 'handler', step: first, name, path, block: steps });
    visit(steps, path);
  }
  return points;
}

function isNamedByHandlers({ handlers = {} }: RunbookSpec, name: string): boolean {
  return Object.values(handlers).some((steps) => [...walkSteps(steps)].some(({ onError }) => onError === name));
}

function blocksOf(step: Step, path: JsonPath, actions: ActionScopes): readonly Point[] {
  if ('choose' in step) {
    return step.choose.map(({ steps }, index): Point => {
      const place = [...path, 'choose', index];
      return { kind: 'branch', step, branch: String(index + 1), path: place, block: steps };
    });
  }
  if ('try' in step) {
    return (['catch', 'finally'] as const).flatMap((kind): Point[] => {
      const block = step[kind];
      return block === undefined ? [] : [{ kind, step, path: [...path, kind], block }];
    });
  }
  if (!('uses' in step) || undoOf(step, actions) === null) return [];
  // An inherited one has no place of its own.
  return [{ kind: 'rollback', step, path: step.rollback === undefined ? path : [...path, 'rollback'] }];
}
