// What the tests of the engine share: programs of two known actions, and playing events to them.
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
