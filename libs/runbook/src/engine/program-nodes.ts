import type { ActionContract, ActionStep, ApprovalStep, CallStep, CapacityWant, TargetShare } from '@fettle/contracts';
import type { JsonObject, JsonValue } from '../json.js';

/** What the engine must know of the actions a runbook uses; an `ActionRegistry` is one. */
export type ActionScopes = Readonly<
  Record<
    string,
    Pick<ActionContract, 'scope' | 'version' | 'defaultTimeoutMs' | 'maxTimeoutMs'> &
      Partial<Pick<ActionContract, 'compensation'>>
  >
>;

/** Every action by its name, as `activities/contracts` exports it. */
export type ActionRegistry = Readonly<Record<string, ActionContract>>;

/** What the run level knows of a step that runs on targets; its body is read by the lanes from the stored version. */
export interface TargetStepReference {
  readonly id: string;
  readonly uses: string;
  readonly actionVersion: number;
}

/** A step that runs once for the run. */
export interface ControlStep extends TargetStepReference {
  readonly with: JsonObject;
  /** Name -> CEL over `result`; null: the whole output of the action is kept. */
  readonly outputs: Readonly<Record<string, string>> | null;
  readonly retry: ActionStep['retry'] | null;
  readonly timeoutMs: number;
  /** How it is undone; null: it is not. */
  readonly rollback: ControlRollback | null;
}

/** An action of control scope that undoes a step. */
export interface ControlRollback {
  readonly uses: string;
  readonly actionVersion: number;
  readonly with: JsonObject;
  readonly retry: ActionStep['retry'] | null;
  readonly timeoutMs: number;
}

/** What every node has. Ids are unique in a runbook; the path of an instance has the iterations around it before the id. */
export interface NodeBase {
  readonly id: string;
  /** CEL of the run level; null: always. */
  readonly if: string | null;
  readonly onError: 'fail' | 'continue';
  readonly capacity: readonly CapacityWant[] | null;
}

/** Neighbouring target steps, which lanes carry out together. Has the id of its first step. */
export interface TargetsNode extends NodeBase {
  readonly kind: 'targets';
  /** Indexes in the layout of all target steps, inclusive. */
  readonly first: number;
  readonly last: number;
  readonly steps: readonly TargetStepReference[];
  /** No target step can follow, wherever the way goes on. */
  readonly isLast: boolean;
  /** Some of its steps can be undone. */
  readonly hasRollback: boolean;
  /**
   * Seconds that the steps of its `finally` ask for by their own timeouts; absent: it has none. A program of an earlier release has
   * none either, and its targets are stopped where they are.
   */
  readonly finallySeconds?: number | undefined;
  /** Ids of the steps whose outputs its steps read, on targets or of the run; absent: none. */
  readonly reads?: readonly string[] | undefined;
}
export interface ControlNode extends NodeBase {
  readonly kind: 'control';
  readonly step: ControlStep;
}
export interface ParallelNode extends NodeBase {
  readonly kind: 'parallel';
  readonly branches: readonly { readonly name: string; readonly nodes: readonly ProgramNode[] }[];
  readonly failFast: boolean;
}
export interface ForEachNode extends NodeBase {
  readonly kind: 'for-each';
  /** A list, or CEL. */
  readonly items: readonly JsonValue[] | string;
  readonly as: string;
  readonly concurrency: number;
  readonly failFast: boolean;
  readonly nodes: readonly ProgramNode[];
  readonly outputs: Readonly<Record<string, string>> | null;
}
export interface ChooseNode extends NodeBase {
  readonly kind: 'choose';
  readonly branches: readonly { readonly when: string | null; readonly nodes: readonly ProgramNode[] }[];
}
export interface CallNode extends NodeBase {
  readonly kind: 'call';
  readonly call: CallStep['call'];
  readonly outputs: Readonly<Record<string, string>> | null;
}
export interface ApprovalNode extends NodeBase {
  readonly kind: 'approval';
  readonly approval: ApprovalStep['approval'];
}
export interface PauseNode extends NodeBase {
  readonly kind: 'pause';
  readonly durationMs: number;
}
export interface UntilNode extends NodeBase {
  readonly kind: 'until';
  /** RFC 3339, or text with `${{ }}` that yields it. */
  readonly until: string;
}
/** A control action that is repeated until a condition over its result holds. */
export interface PolledAction {
  readonly step: ControlStep;
  readonly condition: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** How many looks in a row it must hold; absent: one. */
  readonly consecutive?: number | undefined;
}
export interface PollNode extends NodeBase, PolledAction {
  readonly kind: 'poll';
}
export interface SignalNode extends NodeBase {
  readonly kind: 'signal';
  readonly signal: string;
  readonly payload: JsonObject;
  readonly timeoutMs: number;
  readonly outputs: Readonly<Record<string, string>> | null;
}
export interface TryNode extends NodeBase {
  readonly kind: 'try';
  readonly nodes: readonly ProgramNode[];
  readonly catch: readonly ProgramNode[] | null;
  readonly finally: readonly ProgramNode[] | null;
}
export type ProgramNode =
  | TargetsNode
  | ControlNode
  | ParallelNode
  | ForEachNode
  | ChooseNode
  | CallNode
  | ApprovalNode
  | PauseNode
  | UntilNode
  | PollNode
  | SignalNode
  | TryNode;

/** What the run level decides of a rollout: which wave comes next, and when no more do. */
export interface ProgramRollout {
  /** Null: each segment is dispatched whole. */
  readonly waves: readonly TargetShare[] | null;
  /** Null: any number of failures. */
  readonly maxFailures: TargetShare | null;
  /** Between two waves of a segment. */
  readonly soakMs: number;
  /** Absent: the next wave begins whatever the last one came to, within `maxFailures`. */
  readonly gate?: ProgramGate | undefined;
}

/** What has to hold between two waves. */
export interface ProgramGate {
  /** CEL of the run level; null: nothing. */
  readonly require: string | null;
  /** Repeated until its condition has held so many times in a row; null: `require` is all. */
  readonly look: PolledAction | null;
  /** What the run does where it stays closed; absent: it fails, and undoes what its runbook says. */
  readonly onFailure?: 'continue' | 'rollback' | undefined;
}

/** The run level of one runbook version: JSON, small, and the same for the same version and actions. */
export interface Program {
  readonly format: 2;
  readonly timeoutMs: number;
  readonly maxConcurrency: number;
  /** Absent: neither waves nor a limit of failures. */
  readonly rollout?: ProgramRollout | undefined;
  readonly nodes: readonly ProgramNode[];
  /** Name -> CEL of the run level. */
  readonly outputs: Readonly<Record<string, string>> | null;
  /** Text with `${{ }}`. */
  readonly summary: string | null;
  readonly rollback: 'unfinished' | 'all' | 'nothing';
  /** For the whole run. */
  readonly capacity: readonly CapacityWant[] | null;
}
