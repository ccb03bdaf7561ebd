export { parseDocuments, documentDigest, type ParsedDocument, type ParseResult } from './document/parse-documents.js';
export { sourceLimits } from './document/read-yaml.js';
export { validateDocuments, type ValidateOptions } from './document/validate-documents.js';
export {
  checkInputsSchema,
  inputsLimits,
  validateInputs,
  validatePayload,
  type InputsResult,
} from './document/validate-inputs.js';
export { orderedFindings } from './document/findings.js';
export { formatFinding } from './document/format-finding.js';
export { diffDocuments, formatDiffLine, type DiffLine } from './document/diff-documents.js';
export { closestName } from './document/closest-name.js';
export { DocumentPlaces } from './document/document-places.js';
export { MAX_PLANNED_TARGETS, plannedInside, planProgram, planSlices, planSummary, walkPlan } from './engine/plan.js';
export {
  calledKey,
  type InputsCheck,
  type PlannedAttempt,
  type PlannedRunbook,
  type PlanRequest,
  type PlanTarget,
} from './engine/plan-request.js';
export { planDigest, targetSetDigest } from './engine/plan-digest.js';
export { diffPlans, MAX_DIFFERENCES } from './engine/plan-diff.js';
export { describeOutcome, describeRendered, shownWords } from './engine/plan-text.js';
export { declaredInputs, type DeclaredInput } from './document/declared-inputs.js';
export { lintDocuments, type LintFinding } from './lint/lint-documents.js';
export { isLintCode, lintLevels, lintRules, type LintCode, type LintLevel, type LintRule } from './lint/rules.js';
export { notificationInput, notifyActions, type RunNews } from './document/notification-input.js';
export { scheduleNotificationInput, type ScheduleNews } from './document/schedule-notification-input.js';
export { rehearse, type RehearsedCase, type RehearseOptions, type RehearseReport } from './rehearse/rehearse.js';
export { shareOf, type Coverage, type CoveragePoint, type CoverageShare } from './rehearse/coverage.js';
export { simulate, type SimulateRequest, type Simulation } from './rehearse/simulate.js';
export { compileScript } from './rehearse/compile-script.js';
export type { RehearsedEntry } from './rehearse/journal.js';
export type { Script, ScriptedCall, ScriptedEnd } from './rehearse/script.js';
export { effectOf } from './lint/lint-context.js';
