import type { ControlEnd, Transaction } from '@fettle/database';
import { MAX_CONTROL_OUTPUT_BYTES, stepOutputs, type JsonValue, type WorkCommand } from '@fettle/runbook';
import { storedError } from './judge-error.js';

export type CommandOf<Kind extends WorkCommand['kind']> = Extract<WorkCommand, { kind: Kind }>;

/** Commands whose end comes from outside of the run. */
export type ExternalCommand =
  CommandOf<'call'> | CommandOf<'await-signal'> | CommandOf<'ask-approval'> | CommandOf<'take-capacity'>;

export interface ExternalWait<Command extends ExternalCommand = ExternalCommand> {
  readonly runId: string;
  readonly command: Command;
  /** The engine has cancelled it: what still comes of it is an end that was asked for. */
  readonly isCancelling?: boolean | undefined;
}

/** How a wait stands: nothing but its state and the small output that its step declares. */
export type WaitReport =
  /** `nextMs`: when it should be looked at again at the latest, because something changes by itself. */
  | { readonly state: 'open'; readonly nextMs?: number | undefined }
  | {
      readonly state: 'succeeded' | 'failed' | 'cancelled';
      readonly output: JsonValue;
      readonly error: ControlEnd['error'];
    };

/** One kind of wait. Both functions run in a transaction of their own, and doing them again changes nothing. */
export interface WaitKind<Command extends ExternalCommand> {
  look(transaction: Transaction, wait: ExternalWait<Command>): Promise<WaitReport>;
  end(transaction: Transaction, wait: ExternalWait<Command>, why: 'cancelled' | 'timeout'): Promise<WaitReport>;
}

/** The end of a step whose result has come: only its output can still fail it. */
export function endWith(outputs: Readonly<Record<string, string>> | null, path: string, result: JsonValue): ControlEnd {
  try {
    const output = stepOutputs(outputs, { result });
    const sizeBytes = Buffer.byteLength(JSON.stringify(output));
    if (sizeBytes <= MAX_CONTROL_OUTPUT_BYTES) return { state: 'succeeded', error: null, output };
    const message = `Step "${path}" has ${sizeBytes} bytes of output, more than ${MAX_CONTROL_OUTPUT_BYTES}; declare "outputs".`;
    return { state: 'failed', error: { code: 'output-too-large', message }, output: null };
  } catch (error) {
    return { state: 'failed', error: storedError(error), output: null };
  }
}

export function waitReport(end: ControlEnd): WaitReport {
  const state = end.state === 'succeeded' || end.state === 'cancelled' ? end.state : 'failed';
  return { state, output: (end.output ?? null) as JsonValue, error: end.error };
}
