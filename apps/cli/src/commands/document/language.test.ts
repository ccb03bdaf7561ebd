import { describe, expect, it } from '@jest/globals';
import { actionContracts } from '@fettle/activities/contracts';
import { documentSchema, findingCodes, languagePage } from '@fettle/runbook/reference';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { capture } from '../../session/testing/capture-host.js';

const page = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../../../docs/reference/${name}`, import.meta.url)), 'utf8');

// Where one of these fails: npm run docs
describe('the generated reference', () => {
  it('is that of the schemas as they are', () => {
    expect(JSON.parse(page('fettle-v1.schema.json'))).toEqual(documentSchema(actionContracts));
    expect(page('language.md')).toBe(languagePage(actionContracts));
  });

  it('is what `fettle schema` prints', async () => {
    const { exitCode, stdout } = await capture(['schema']);
    expect(exitCode).toBe(0);
    expect(stdout).toBe(page('fettle-v1.schema.json'));
  });

  it('names every finding on the page about documents, too', () => {
    const text = page('documents.md');
    expect(Object.keys(findingCodes).filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
  });
});
