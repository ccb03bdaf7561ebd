export { runRunbook } from './run/run-runbook.workflow.js';
export { enrolAsset } from './asset/enrol-asset.workflow.js';
export { settleSchedules } from './schedule/settle-schedules.workflow.js';
export { checkPlan } from './plan/check-plan.workflow.js';
