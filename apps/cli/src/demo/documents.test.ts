import { describe, expect, it } from '@jest/globals';
import { isActionStep, runbookDocumentSchema, scheduleDocumentSchema } from '@fettle/contracts';
import { parse, parseAllDocuments } from 'yaml';
import { DEMO_RUNBOOK_NAME, demoExpectedCounts, demoRunbook, demoSchedules } from './documents.js';
import { demoRoster } from './roster.js';

describe('the first runbook', () => {
  it('is a valid document of two read-only steps', () => {
    const document = runbookDocumentSchema.parse(parse(demoRunbook));
    expect(document.metadata.name).toBe(DEMO_RUNBOOK_NAME);
    expect(document.spec.steps.filter(isActionStep).map((step) => [step.id, step.uses, step.with['effect']])).toEqual([
      ['uptime', 'ssh.run', 'read-only'],
      ['disk_space', 'ssh.script', 'read-only'],
    ]);
  });

  it('has schedules of ready-made runbooks beside it', () => {
    const schedules = parseAllDocuments(demoSchedules).map((one) => scheduleDocumentSchema.parse(one.toJS()).spec);
    expect(schedules.map(({ runbook, targets }) => [runbook, targets])).toEqual([
      ['gather-facts', 'asset.labels.estate == "demo"'],
      ['patch-scan', 'asset.labels.estate == "demo" && asset.labels.os in ["debian", "ubuntu"]'],
    ]);
  });

  it('expects every host of the roster in one state, three of them flawed', () => {
    expect(Object.values(demoExpectedCounts).reduce((sum, count) => sum + count, 0)).toBe(demoRoster.length);
    expect(demoExpectedCounts).toEqual({ succeeded: demoRoster.length - 3, failed: 1, unreachable: 1, quarantined: 1 });
  });
});
