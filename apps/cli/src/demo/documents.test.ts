import { describe, expect, it } from '@jest/globals';
import { isActionStep, runbookDocumentSchema, scheduleDocumentSchema } from '@fettle/contracts';
import { parse } from 'yaml';
import { DEMO_RUNBOOK_NAME, demoExpectedCounts, demoRunbook, demoSchedule } from './documents.js';
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

  it('has a schedule of a ready-made runbook beside it', () => {
    const { spec } = scheduleDocumentSchema.parse(parse(demoSchedule));
    expect([spec.runbook, spec.targets]).toEqual(['gather-facts', 'asset.labels.estate == "demo"']);
  });

  it('expects every host of the roster in one state, three of them flawed', () => {
    expect(Object.values(demoExpectedCounts).reduce((sum, count) => sum + count, 0)).toBe(demoRoster.length);
    expect(demoExpectedCounts).toEqual({ succeeded: demoRoster.length - 3, failed: 1, unreachable: 1, quarantined: 1 });
  });
});
