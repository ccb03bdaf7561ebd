export {
  canonicalJson,
  digestOf,
  formatPath,
  isRecord,
  type JsonObject,
  type JsonPath,
  type JsonValue,
} from './json.js';
export {
  compileProgram,
  type ActionRegistry,
  type ActionScopes,
  type ControlStep,
  type Program,
  type ProgramNode,
  type ProgramRollout,
  type TargetStepReference,
} from './engine/program.js';
export {
  advance,
  initialState,
  MAX_CONTROL_OUTPUT_BYTES,
  type Advance,
  type EngineCommand,
  type EngineEvent,
  type EngineState,
  type RunError,
  type WaveReference,
} from './engine/advance.js';
export {
  compileStep,
  retryDelayMs,
  stepOutputs,
  targetStepDecision,
  type CompiledStep,
  type StepDecision,
  type StepError,
} from './engine/decide-step.js';
export { failureLimit, waveEnds, waveSizes } from './rollout/wave-arithmetic.js';
export { compareTargets, compileOrder, orderKey, type OrderedTarget, type OrderKey } from './rollout/order-targets.js';
