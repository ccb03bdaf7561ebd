import { describe, expect, it } from '@jest/globals';
import { defineAction } from '@fettle/contracts';
import { z } from 'zod';
import { notificationInput, exampleNews } from './notification-input.js';
import { parseDocuments } from './parse-documents.js';
import { validateDocuments } from './validate-documents.js';

const base = {
  version: 1,
  summary: '',
  secretInputs: [],
  compensation: null,
  probe: null,
  output: z.object({}),
} as const;
const control = {
  ...base,
  scope: 'control',
  defaultTimeoutMs: 1000,
  maxTimeoutMs: 1000,
  effect: () => 'idempotent' as const,
  render: () => ({ argv: [], files: [], calls: [] }),
} as const;
const actions = {
  'notify.webhook': defineAction({
    ...control,
    name: 'notify.webhook',
    input: z.strictObject({
      url: z.string(),
      type: z.string(),
      timestamp: z.string(),
      data: z.record(z.string(), z.unknown()),
    }),
  }),
  'notify.mail': defineAction({
    ...control,
    name: 'notify.mail',
    input: z.strictObject({ to: z.array(z.string()).min(1), subject: z.string(), text: z.string() }),
  }),
  'http.request': defineAction({ ...control, name: 'http.request', input: z.strictObject({ url: z.string() }) }),
};

function problems(notify: unknown): string[] {
  const spec = { notify, steps: [{ id: 'a', uses: 'http.request', with: { url: 'x' } }] };
  const source = JSON.stringify({ apiVersion: 'fettle/v1', kind: 'Runbook', metadata: { name: 'x' }, spec });
  const parsed = parseDocuments(source, { file: 'x.json' });
  const found = [...parsed.findings, ...validateDocuments(parsed.documents, { actions })];
  return found.map(({ code, path, message }) => `${code} ${path}: ${message}`);
}

describe('notify', () => {
  it('fills in what happened, and lets the document say something else', () => {
    expect(notificationInput('notify.webhook', { url: 'u', type: 'own' }, exampleNews)).toMatchObject({
      url: 'u',
      type: 'own',
      timestamp: exampleNews.at,
      data: { run: { id: exampleNews.run.id, state: 'failed' } },
    });
    expect(notificationInput('notify.mail', {}, exampleNews)).toMatchObject({
      subject: 'Fettle: example failed',
      text: expect.stringContaining(`fettle run show ${exampleNews.run.id}`) as unknown,
    });
    expect(problems([{ on: ['failed'], uses: 'notify.webhook', with: { url: 'u' } }])).toEqual([]);
    expect(problems([{ on: ['failed'], uses: 'notify.mail', with: { to: ['${{ inputs.who }}'] } }])).toEqual([]);
  });

  it.each([
    [
      { on: ['failed'], uses: 'http.request', with: { url: 'u' } },
      /^unknown-action spec\.notify\[0\]\.uses: .* tells nobody/,
    ],
    [{ on: ['failed'], uses: 'notify.webhok', with: { url: 'u' } }, /^unknown-action spec\.notify\[0\]\.uses/],
    [{ on: ['failed'], uses: 'notify.webhook', with: {} }, /^missing-field spec\.notify\[0\]\.with\.url/],
    [
      { on: ['failed'], uses: 'notify.mail', with: { to: ['${{ asset.name }}'] } },
      /^invalid-expression spec\.notify\[0\]/,
    ],
    [{ on: ['failed'], uses: 'notify.mail', with: { to: ['${{ steps.a.x }}'] } }, /not what steps returned/],
    [{ on: ['queued'], uses: 'notify.mail', with: { to: ['a'] } }, /^invalid-value spec\.notify\[0\]\.on/],
    [{ on: [], uses: 'notify.mail', with: { to: ['a'] } }, /spec\.notify\[0\]\.on/],
  ])('refuses %j', (notification, message) => {
    const found = problems([notification]);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });
});
