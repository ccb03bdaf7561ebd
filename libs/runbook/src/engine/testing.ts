// What the tests of the engine share: programs of two known actions, steps in short, and playing events to a program.
import { runbookSpecSchema, targetStates, type TargetCounts, type TargetState } from '@fettle/contracts';
import { advance } from './advance.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { initialState, type EngineState } from './state.js';
import type { ActionScopes, Program } from './program-nodes.js';
import { compileProgram } from './program.js';

export const actions: ActionScopes = {
  'ssh.run': { scope: 'target', version: 3, defaultTimeoutMs: 60_000, maxTimeoutMs: 600_000 },
  'http.request': { scope: 'control', version: 2, defaultTimeoutMs: 30_000, maxTimeoutMs: 60_000 },
};

/** Those given, the others 0. */
export const counts = (given: Partial<Record<TargetState, number>>): TargetCounts =>
  Object.fromEntries(targetStates.map((state) => [state, given[state] ?? 0])) as Record<TargetState, number>;

export interface StepSource {
  readonly id: string;
  readonly uses?: string;
  readonly [key: string]: unknown;
}

export const program = (steps: readonly StepSource[], extra: object = {}): Program =>
  compileProgram(runbookSpecSchema.parse({ targets: 'true', timeout: '1h', steps, ...extra }), actions);

/** Feeds events one by one; the commands of each. */
export function play(of: Program, events: readonly EngineEvent[]): { state: EngineState; commands: EngineCommand[][] } {
  let state = initialState(of);
  const commands = events.map((event) => {
    const next = advance(of, state, event);
    state = next.state;
    return [...next.commands];
  });
  return { state, commands };
}

export const control = (id: string, extra: object = {}): StepSource => ({ id, uses: 'http.request', ...extra });
export const target = (id: string, extra: object = {}): StepSource => ({ id, uses: 'ssh.run', ...extra });

/** Plays events and gives the commands of each in short: `run a`, `segment b`, `cancel a`, `finish succeeded`. */
export class Play {
  readonly log: string[] = [];
  commands: readonly EngineCommand[] = [];
  state: EngineState;

  constructor(
    readonly of: Program,
    pending = 2,
    inputs = {},
  ) {
    this.state = initialState(of);
    this.feed({ kind: 'started', inputs, targetCounts: counts({ pending }) });
  }

  feed(event: EngineEvent): this {
    const next = advance(this.of, JSON.parse(JSON.stringify(this.state)) as EngineState, event);
    this.state = next.state;
    this.commands = next.commands;
    this.log.push(next.commands.map(short).join(', '));
    return this;
  }

  ends(path: string, output: null | Record<string, number | string> = null): this {
    return this.feed({ kind: 'ended', path, state: 'succeeded', output });
  }

  fails(path: string, code = 'boom'): this {
    return this.feed({ kind: 'ended', path, state: 'failed', error: { code, message: 'it broke' } });
  }

  segment(path: string, given: Parameters<typeof counts>[0] = { pending: 2 }): this {
    return this.feed({ kind: 'segment-ended', path, counts: counts(given) });
  }
}

function short(command: EngineCommand): string {
  const shielded = 'shielded' in command && command.shielded === true ? '!' : '';
  switch (command.kind) {
    case 'run-control':
      return `run ${command.path}${command.generation > 1 ? ` ${command.generation}` : ''}${shielded}`;
    case 'dispatch-segment':
      return `segment ${command.path} ${command.enters ? 'enters ' : ''}${command.first}-${command.last}${command.isLast ? ' last' : ''}${shielded}`;
    case 'note':
      return `${command.note} ${command.path}`;
    case 'finish':
      return `finish ${command.state}${command.error === undefined ? '' : ` ${command.error.code}`}`;
    default:
      return `${command.kind} ${command.path}${shielded}`;
  }
}
