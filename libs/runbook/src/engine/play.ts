// What the tests of the engine's flow share: steps in short, and playing events to a program one by one.
import { advance } from './advance.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import type { Program } from './program-nodes.js';
import { initialState, type EngineState } from './state.js';
import { counts, type StepSource } from './testing.js';

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
