export { runRunbook } from './run/run-runbook.workflow.js';
export { settleSchedule } from './schedule/settle-schedule.workflow.js';
