import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkSources } from './check-sources.js';

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../../../${path}`, import.meta.url)), 'utf8');

/** The documents in the YAML examples of a page, each with the number of its first line in the place of a file's name. */
function examplesOf(path: string): { file: string; text: string }[] {
  const page = read(path);
  return [...page.matchAll(/^```yaml\n(apiVersion:[\s\S]*?)^```$/gm)].map(({ 1: text = '', index }) => {
    return { file: `${path}:${page.slice(0, index).split('\n').length + 1}`, text };
  });
}

describe('the examples of the documentation', () => {
  const guide = examplesOf('docs/how-to/write-runbooks.md');

  it('are ten in the guide, and nothing is wrong with them', () => {
    const { documents, findings } = checkSources(guide);
    expect(findings).toEqual([]);
    expect(documents.filter(({ document }) => document?.kind === 'Runbook')).toHaveLength(10);
  });

  it('show every kind of step', () => {
    const text = guide.map((example) => example.text).join('\n');
    for (const member of ['uses', 'parallel', 'forEach', 'choose', 'call', 'approval', 'wait', 'try', 'handlers'])
      expect(text).toMatch(new RegExp(`[ {]${member}:`));
  });

  it('are valid on the other pages, too', () => {
    for (const path of ['README.md', 'docs/reference/documents.md']) {
      const examples = examplesOf(path);
      expect(examples.length).toBeGreaterThan(0);
      expect(checkSources(examples).findings).toEqual([]);
    }
  });

  it('tell of the finding as it is', () => {
    const shown = /```console\n\$ fettle validate -f purge.yaml\n([^\n]*)\n/.exec(
      read('docs/how-to/write-runbooks.md'),
    )?.[1];
    const text = `apiVersion: fettle/v1
kind: Runbook
metadata: { name: purge }
spec:
  inputs: { type: object }
  targets: asset.kind == "server"
  # what is purged depends on the site
  steps:
    - id: look
      uses: ssh.run
      with: { argv: [uptime] }
    - id: which
      choose:
      - when: asset.site == "ber"
        steps: [{ id: purge, uses: ssh.run, with: { argv: [purge] } }]
`;
    const [found] = checkSources([{ file: 'purge.yaml', text }]).findings;
    const { file, line, column } = found?.position ?? { file: '', line: 0, column: 0 };
    expect(`${file}:${line}:${column}: error: ${found?.message} (${found?.path}) [${found?.code}]`).toBe(shown);
  });
});
