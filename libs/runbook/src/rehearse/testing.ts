// What the tests of rehearsals share: actions that need no implementation, and reading documents.
import { defineAction, effects } from '@fettle/contracts';
import { z } from 'zod';
import { parseDocuments, type ParsedDocument } from '../document/parse-documents.js';
import { validateDocuments } from '../document/validate-documents.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { rehearse, type RehearseReport } from './rehearse.js';

const common = { version: 1, defaultTimeoutMs: 60_000, maxTimeoutMs: 600_000, secretInputs: [], probe: null } as const;
const nothing = () => ({ argv: [], files: [], calls: [] });

export const testActions: ActionRegistry = {
  'ssh.run': defineAction({
    ...common,
    name: 'ssh.run',
    summary: 'Runs a command.',
    scope: 'target',
    input: z.strictObject({ argv: z.array(z.string()).min(1), effect: z.enum(effects).default('mutating') }),
    output: z.object({ exitCode: z.int(), stdout: z.string(), stderr: z.string(), truncated: z.boolean() }),
    effect: (input) => input.effect,
    compensation: null,
    render: nothing,
  }),
  'http.request': defineAction({
    ...common,
    name: 'http.request',
    summary: 'Calls a service.',
    scope: 'control',
    input: z.strictObject({ url: z.string(), effect: z.enum(effects).default('read-only') }),
    output: z.object({ status: z.int(), body: z.string(), truncated: z.boolean() }),
    effect: (input) => input.effect,
    compensation: null,
    sample: () => ({ status: 200 }),
    render: nothing,
  }),
};

/** Documents that must have no finding of severity `error`. */
export function readDocuments(text: string): readonly ParsedDocument[] {
  const { documents, findings } = parseDocuments(text, { file: 'test.yaml' });
  const all = [...findings, ...validateDocuments(documents, { actions: testActions })];
  const errors = all.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(({ code, message }) => `${code}: ${message}`).join('\n'));
  return documents;
}

export function rehearseText(text: string): RehearseReport {
  return rehearse(readDocuments(text), { actions: testActions });
}

/** What failed, one a line. */
export function failuresOf({ cases }: RehearseReport): readonly string[] {
  return cases.flatMap(({ name, failures }) =>
    failures.map(({ path = '', message }) => `${name}: ${path}: ${message}`),
  );
}
