// What the tests of documents share: two actions, and validating a runbook whose steps are given as text.
import { defineAction, effects, type Finding } from '@fettle/contracts';
import { z } from 'zod';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { parseDocuments } from './parse-documents.js';
import { validateDocuments } from './validate-documents.js';

const common = {
  version: 1,
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 3_600_000,
  secretInputs: [],
  compensation: null,
  probe: null,
};
export const testActions = {
  'ssh.run': defineAction({
    ...common,
    name: 'ssh.run',
    summary: 'Runs a command.',
    scope: 'target',
    input: z.strictObject({
      argv: z.array(z.string()).min(1),
      become: z
        .union([z.boolean(), z.strictObject({ user: z.string().min(1), credential: z.string().optional() })])
        .optional(),
      successCodes: z.array(z.int().min(0).max(255)).default([0]),
      effect: z.enum(effects).default('mutating'),
    }),
    output: z.object({ exitCode: z.int(), stdout: z.string() }),
    effect: (input) => input.effect,
    render: (input) => ({ argv: [input.argv], files: [], calls: [] }),
  }),
  'http.request': defineAction({
    ...common,
    name: 'http.request',
    summary: 'Calls a service.',
    scope: 'control',
    input: z.strictObject({ url: z.url(), body: z.unknown().optional(), effect: z.enum(effects).default('read-only') }),
    output: z.object({ status: z.int() }),
    effect: (input) => input.effect,
    render: (input) => ({ argv: [], files: [], calls: [{ method: 'GET', url: input.url }] }),
  }),
} as const satisfies ActionRegistry;

/** A runbook with the steps as YAML, indented or not, and whatever else stands in its `spec`. */
export function runbookText(steps: string, more = '', name = 'a'): string {
  const indented = (text: string, by: string): string =>
    text
      .replace(/^\n+/, '')
      .trimEnd()
      .split('\n')
      .map((line) => `${by}${line}`)
      .join('\n');
  const rest = more === '' ? '' : `${indented(more, '  ')}\n`;
  const targets = /^targets:/m.test(more) ? '' : "  targets: 'true'\n";
  return `apiVersion: fettle/v1\nkind: Runbook\nmetadata: { name: ${name} }\nspec:\n${targets}${rest}  steps:\n${indented(steps, '    ')}\n`;
}

/** All findings, of shape and meaning. */
export function findingsOf(text: string): readonly Finding[] {
  const parsed = parseDocuments(text, { file: 'f.yaml' });
  return [...parsed.findings, ...validateDocuments(parsed.documents, { actions: testActions })];
}

/** `code path [text] suggestion`, with a `?` before warnings. */
export function briefOf(findings: readonly Finding[]): string[] {
  return findings.map(({ severity, code, path = '', text = '', suggestion = '' }) =>
    `${severity === 'warning' ? '?' : ''}${code} ${path} [${text}] ${suggestion}`.trimEnd(),
  );
}

/** `T(a)` and `C(a)` for a whole step, `T(a, "x")` with one expression in it. */
export function short(text: string): string {
  let rest = text;
  let made = '';
  for (let match = /\b([TC])\((\w+)(, )?/.exec(rest); match !== null; match = /\b([TC])\((\w+)(, )?/.exec(rest)) {
    const [all, level, id] = match;
    let end = match.index + all.length;
    for (let open = 1; open > 0; end += 1) open += rest[end] === '(' ? 1 : rest[end] === ')' ? -1 : 0;
    const read = rest.slice(match.index + all.length, end - 1);
    const value = read === '' ? 'x' : `\${{ ${read} }}`;
    const body =
      level === 'T'
        ? `ssh.run, with: { argv: ['${value}'] }`
        : `http.request, with: { url: 'https://x/', body: '${value}' }`;
    made += `${rest.slice(0, match.index)}{ id: ${id}, uses: ${body} }`;
    rest = rest.slice(end);
  }
  return made + rest;
}
