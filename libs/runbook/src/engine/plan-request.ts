import type { PlannedOutcome, RunbookSpec } from '@fettle/contracts';
import type { AssetView } from '@fettle/expression';
import type { JsonObject } from '../json.js';
import type { ActionRegistry } from './program-nodes.js';

export interface PlanTarget {
  readonly assetId: string;
  readonly name: string;
  readonly asset: AssetView;
  /** Name of the credential that connections to it open; absent: none. */
  readonly credential?: string | null | undefined;
}

/** A runbook that the planned one calls. */
export interface PlannedRunbook {
  readonly name: string;
  /** Digest of the version. */
  readonly version: string;
  readonly spec: RunbookSpec;
  /** All that its own selector matches. */
  readonly targets: readonly PlanTarget[];
}

/** The inputs of a called runbook with its defaults, or what is wrong with them. */
export type InputsCheck = (
  spec: RunbookSpec,
  inputs: JsonObject,
) => { readonly inputs: JsonObject } | { readonly error: string };

export interface PlanRequest {
  readonly space: string;
  readonly runbook: string;
  /** Digest of the runbook's version. */
  readonly version: string;
  readonly spec: RunbookSpec;
  readonly actions: ActionRegistry;
  /** With defaults. */
  readonly inputs: JsonObject;
  readonly targets: readonly PlanTarget[];
  readonly undetermined?: number | undefined;
  /** Those that may be called, by `calledKey`; absent: one that is called is shown by its name only. */
  readonly called?: ReadonlyMap<string, PlannedRunbook> | undefined;
  readonly checkInputs?: InputsCheck | undefined;
  /** Told of each action step on each target, in the order of the plan; rollbacks and looks of a wait are not. */
  readonly onPlanned?: ((planned: PlannedAttempt) => void) | undefined;
  /** Versions of the credentials by name, asked once it is known which are opened. Absent: null for each. */
  readonly credentialVersion?: ((name: string) => number | null) | undefined;
}

/** One action step on one target, or once for the run, as it is planned. */
export interface PlannedAttempt {
  readonly path: string;
  readonly uses: string;
  /** Null: it acts once, for the run. */
  readonly target: { readonly assetId: string; readonly name: string } | null;
  readonly outcome: PlannedOutcome;
  /** Parsed, where the outcome is `run`; texts that are known later stand as `(known after <step>)` in it. */
  readonly input?: unknown;
  /** As the document has it. */
  readonly timeout?: string | number | undefined;
}

/** By what a call names a runbook. */
export function calledKey(call: { readonly runbook: string; readonly version?: string | undefined }): string {
  return call.version === undefined ? call.runbook : `${call.runbook}@${call.version}`;
}
