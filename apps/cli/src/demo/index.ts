export { DEMO_CREDENTIAL_NAME, DemoEstate, demoInventory } from './estate.js';
export type { DemoEstateOptions, DemoInventory, DemoInventoryRow } from './estate.js';
export { DEMO_RUNBOOK_NAME, demoExpectedCounts, demoExpectedRunState, demoRunbook } from './documents.js';
export { demoRoster, type DemoHostProfile } from './roster.js';
