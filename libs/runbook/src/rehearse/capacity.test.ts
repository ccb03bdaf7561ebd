import { describe, expect, it } from '@jest/globals';
import { failuresOf, rehearseText } from './testing.js';

const documents = (cases: string): string => `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: change}
spec:
  timeout: 1h
  inputs: {type: object, properties: {site: {type: string, default: ber}}}
  steps:
    - id: switch
      uses: http.request
      with: {url: "http://lb/switch"}
      capacity: ['site:\${{ inputs.site }}', {key: 'db:billing', units: 2}]
    - {id: tell, uses: http.request, with: {url: "http://lb/told"}}
---
apiVersion: fettle/v1
kind: Rehearsal
metadata: {name: test}
spec:
  runbook: change
  cases:
${cases}
`;

describe('capacity in a rehearsal', () => {
  it('is waited for as long as others hold it', () => {
    const report = rehearseText(
      documents(`
    - name: the site is busy, and after it the database
      capacity: [{key: 'site:ber', for: 10m}, {key: 'db:billing', from: 9m, for: 5m}, {key: 'site:muc'}]
      expects:
        state: succeeded
        sequence: [{entry: capacity-queued, step: switch}, {entry: capacity-granted, step: switch}, switch, tell]
        within: 15m
    - name: it is busy later, and elsewhere
      capacity: [{key: 'site:ber', from: 10m}, {key: 'site:muc'}]
      expects: {state: succeeded, absent: [{entry: capacity-queued}], within: 1m}`),
    );
    expect(failuresOf(report)).toEqual([]);
    const [waits] = report.cases;
    const granted = waits!.simulation!.entries.find(({ kind }) => kind === 'capacity-granted');
    expect(granted?.data['waitedMs']).toBe(14 * 60_000);
    const queued = waits!.simulation!.entries.filter(({ kind }) => kind === 'capacity-queued');
    expect(queued.map(({ data }) => data['keys'])).toEqual([['site:ber']]);
  });

  it('that is held for ever is waited for until the run is too old, and given up with it', () => {
    const report = rehearseText(
      documents(`
    - name: for ever
      capacity: [{key: 'db:billing'}]
      expects:
        state: timed-out
        sequence: [{entry: capacity-queued, step: switch}, {entry: capacity-freed, step: switch}]
        absent: [switch, {entry: capacity-granted}]`),
    );
    expect(failuresOf(report)).toEqual([]);
  });
});
