import { describe, expect, it } from '@jest/globals';
import { formatFinding } from './format-finding.js';
import { parseDocuments } from './parse-documents.js';
import { validateDocuments } from './validate-documents.js';

/** Findings in a rollout, as `fettle validate` prints their places, without those about the unknown action. */
function findings(rollout: string, more = ''): string[] {
  const source = `apiVersion: fettle/v1
kind: Runbook
metadata: { name: a }
spec:
  targets: asset.kind == "server"
${more}  rollout:
${rollout
  .trimEnd()
  .split('\n')
  .map((line) => `    ${line.trim()}`)
  .join('\n')}
  steps: [{ id: one, uses: ssh.run, with: { argv: [x] } }]
`;
  const parsed = parseDocuments(source, { file: 'f.yaml' });
  const options = { actions: {}, validateCron: () => undefined, validateTimeZone: () => undefined };
  const all = [...parsed.findings, ...validateDocuments(parsed.documents, options)];
  return all.filter((found) => found.code !== 'unknown-action').map((found) => formatFinding(found).split('\n')[0]!);
}

describe('rollout', () => {
  it('is fine with all of its keys', () => {
    const rollout = `waves: [1, '10%', 12, '50%', '100%']
      maxConcurrency: 20
      maxFailures: '2.5%'
      strict: true
      soak: 10m
      strategy: free
      orderBy: asset.labels.role == "primary"`;
    expect(findings(rollout)).toEqual([]);
    expect(findings(`waves: ['100%']\nmaxFailures: 0\nstrategy: linear`)).toEqual([]);
    expect(findings(`waves: ['50%', '100.00%']\norderBy: int(asset.labels.rack)`)).toEqual([]);
  });

  it.each([
    [`waves: [5, '10%', 3, '100%']`, '7:23', 'waves are cumulative, so they must not decrease: 3 comes after 5'],
    [`waves: ['20%', 3, '19.5%', '100%']`, '7:23', 'must not decrease: 19.5% comes after 20%'],
    [`waves: [1, '50%']`, '7:16', 'the last wave must be "100%"'],
    [`waves: [1, 2, 1000]`, '7:19', 'beyond 1000'],
    [`waves: [0, '100%']`, '7:13', 'item 1 of "waves" must be more than 0'],
    [`waves: ['0%', '100%']`, '7:13', 'item 1 of "waves" must be more than 0'],
    [`waves: ['101%', '100%']`, '7:13', 'a percentage such as "10%"'],
    [`waves: [1.5, '100%']`, '7:13', 'whole number'],
    [`maxFailures: '10'`, '7:18', 'a percentage such as "10%"'],
    [`maxFailures: -1`, '7:18', 'at least 0'],
    [`strategy: linaer`, '7:15', '"linear"'],
    [`soak: ten`, '7:11', 'a number of seconds or text'],
    [`waves: [1, '50%', '100%']\nsoak: 13h`, '8:11', 'come to 93600 s, and the run may take 86400 s'],
    [`soak: 10m`, '7:11', '"soak" has no effect without several waves'],
    [`strict: true`, '7:13', '"strict" has no effect without "maxFailures"'],
    [`orderBy: asset.nam`, '7:20', 'nam'],
    [`orderBy: asset.labels`, '7:14', 'ordered by a map'],
    [`orderBy: inputs.x`, '7:14', 'inputs'],
    [`wave: [1]`, '7:5', 'has no field "wave"'],
  ])('%s', (rollout, place, message) => {
    const found = findings(rollout);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`f.yaml:${place}`);
    expect(found[0]).toContain(message);
  });
});
