export * from './context.js';
export * from './end-lost-run.js';
export { tellFinallyLeft } from './tell-finally-left.js';
export * from './record-audit.js';
export * from './cursor.js';
export * from './require-unnarrowed.js';
export * from './create-principal.js';
export * from './list-principals.js';
export * from './revoke-principal.js';
export * from './create-token.js';
export * from './list-tokens.js';
export * from './revoke-token.js';
export * from './authenticate.js';
export * from './ensure-local-admin.js';
export * from './list-audit.js';
export * from './export-audit.js';
export * from './list-checkpoints.js';
export * from './seal-audit.js';
export * from './select-targets.js';
export * from './run-view.js';
export * from './start-run.js';
export * from './exec-command.js';
export * from './cancel-run.js';
export * from './start-sub-run.js';
export { countAssets } from './count-assets.js';
export * from './signal-run.js';
export * from './read-runs.js';
export * from './settle-fire.js';
export { SCHEDULES_OF_SET, settleFires, type SettledSet } from './settle-fires.js';
export * from './trigger-schedule.js';
export * from './backfill-schedule.js';
export * from './read-ledger.js';
export * from './why-schedule.js';
export * from './schedule-gate.js';
export * from './place-schedule.js';
export * from './apply-documents.js';
export * from './upsert-schedule.js';
export * from './list-documents.js';
export * from './get-document.js';
export * from './export-documents.js';
export * from './schedule-view.js';
export * from './list-schedules.js';
export * from './pause-schedule.js';
export * from './resume-schedule.js';
export * from './import-assets.js';
export * from './import-findings.js';
export * from './set-credential.js';
export * from './rotate-credentials.js';
export * from './list-credentials.js';
export * from './asset-scope.js';
export * from './read-assets.js';
export * from './set-asset.js';
export * from './retire-asset.js';
export * from './enrol-asset.js';
export * from './settle-enrolment.js';
export * from './ansible-inventory.js';
export * from './check-input-names.js';
export * from './describe-inputs.js';
export { getCapacity, listCapacity } from './read-capacity.js';
export * from './free-ended-capacity.js';
export * from './plan-run.js';
export * from './plan-check.js';
export { makePlan, type PlanSubject } from './make-plan.js';
export * from './require-planned.js';
export * from './approval-plan.js';
export * from './approval-view.js';
export * from './ask-approval.js';
export * from './decide-approval.js';
export * from './read-approvals.js';
export * from './archive-history.js';
export * from './read-history.js';
export * from './retry-run.js';
export * from './resolve-run.js';
export * from './resume-run.js';
export * from './look-back.js';
export {
  closureOf,
  coverOf,
  groupGate,
  lookAgainAt,
  namedGate,
  openState,
  readCalendars,
  type HeldCalendar,
} from './calendar-book.js';
export * from './hold-to-calendars.js';
export * from './hold-for-calendar.js';
export * from './run-gate.js';
export { calendarStatus, showCalendar } from './read-calendars.js';
export { checkNamedCalendars } from './apply-calendar.js';
export { forecast, MAX_RUNS as MAX_FORECAST_RUNS } from './forecast.js';
export { createFeed, listFeeds, revokeFeed, MAX_FEEDS_EACH } from './schedule-feeds.js';
export * from './read-feed.js';
export { followRun } from './follow-run.js';
export { readScheduleNotifications } from './read-schedule-notifications.js';
export { watchDeadline } from './watch-deadline.js';
export * from './report-patches.js';
export { keepTested, testedFor, type KeptTestedSet } from './tested-patches.js';
export { baselinesOf, findBaseline, type AssetBaseline } from './patch-baselines.js';
