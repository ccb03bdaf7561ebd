export { runRunbook } from './run/run-runbook.workflow.js';
export { enrolAsset } from './asset/enrol-asset.workflow.js';
export { settleSchedule } from './schedule/settle-schedule.workflow.js';
export { checkPlan } from './plan/check-plan.workflow.js';
