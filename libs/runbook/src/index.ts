export {
  canonicalJson,
  digestOf,
  formatPath,
  isRecord,
  type JsonObject,
  type JsonPath,
  type JsonValue,
} from './json.js';
export { compileProgram, compileRunbook, type CompiledRunbook } from './engine/program.js';
export { undoDecision, undoOf, type StepUndo } from './engine/step-undo.js';
export type * from './engine/program-nodes.js';
export { advance, type Advance } from './engine/advance.js';
export { initialState, STATE_FORMAT, type EngineState } from './engine/state.js';
export { readState } from './engine/read-state.js';
export { undoneBy, type Undo, type UndoReach } from './engine/undo.js';
export { remainingUndo, undoCommand } from './engine/unwind.js';
export { emptyMemo, type KnownEnd, type Memo } from './engine/memo.js';
export { makeMemo, type JournaledStep, type RunJournal } from './engine/make-memo.js';
export { ENGINE_VERSION, OLDEST_ENGINE_VERSION } from './engine/version.js';
export { MAX_CONTROL_OUTPUT_BYTES } from './engine/walk-base.js';
export type {
  ControlCommand,
  EngineCommand,
  EngineEvent,
  ItemScope,
  RunError,
  WaveReference,
  WorkCommand,
} from './engine/commands.js';
export type { Jump, TargetCode } from './engine/target-code.js';
export {
  finallyLeft,
  nextAfterFailure,
  nextAfterStop,
  nextAfterSuccess,
  type TargetNext,
} from './engine/target-way.js';
export {
  compileStep,
  conditionHolds,
  retryDelayMs,
  stepOutputs,
  targetStepDecision,
  type CompiledStep,
  type StepDecision,
  type StepError,
} from './engine/decide-step.js';
export { failureLimit, waveEnds, waveSizes } from './rollout/wave-arithmetic.js';
export { compareTargets, compileOrder, orderKey, type OrderedTarget, type OrderKey } from './rollout/order-targets.js';
export {
  decideGrants,
  DEFAULT_LIMIT,
  isImpossible,
  mergeWants,
  queuePosition,
  type CapacityRequest,
  type Want,
} from './capacity/grant.js';
export { readWants } from './capacity/read-wants.js';
