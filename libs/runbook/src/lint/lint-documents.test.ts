import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { defineAction, effects } from '@fettle/contracts';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { parseDocuments } from '../document/parse-documents.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { lintDocuments, type LintFinding } from './lint-documents.js';
import { lintRules, type LintCode, type LintRule } from './rules.js';

const common = {
  version: 1,
  summary: 's',
  maxTimeoutMs: 3_600_000,
  secretInputs: [],
  compensation: null,
  probe: null,
  output: z.object({ stdout: z.string(), exitCode: z.int() }),
  render: () => ({ argv: [], files: [], calls: [] }),
};
const command = {
  effect: z.enum(effects).default('mutating'),
  environment: z.record(z.string(), z.string()).optional(),
  secretEnvironment: z.record(z.string(), z.string()).optional(),
};
const actions = {
  'ssh.run': defineAction({
    ...common,
    name: 'ssh.run',
    scope: 'target',
    defaultTimeoutMs: 60_000,
    input: z.strictObject({ argv: z.array(z.string()), codes: z.array(z.int()).optional(), ...command }),
    effect: (input) => input.effect,
  }),
  'ssh.script': defineAction({
    ...common,
    name: 'ssh.script',
    scope: 'target',
    defaultTimeoutMs: 300_000,
    input: z.strictObject({ script: z.string(), arguments: z.array(z.string()).optional(), ...command }),
    effect: (input) => input.effect,
  }),
  'http.request': defineAction({
    ...common,
    name: 'http.request',
    scope: 'control',
    defaultTimeoutMs: 30_000,
    input: z.strictObject({
      url: z.string(),
      headers: z.record(z.string(), z.string()).optional(),
      bearer: z.string().optional(),
    }),
    effect: () => 'read-only',
  }),
} as const satisfies ActionRegistry;

const changing = [{ id: 'change', uses: 'ssh.run', with: { argv: ['x'] } }];

/** A whole runbook around the part that an example shows. */
function runbookOf(example: string): string {
  const part: unknown = parse(example);
  const isSteps = Array.isArray(part);
  const given = isSteps ? { steps: part as unknown } : (part as Record<string, unknown>);
  const { metadata = { name: 'example' }, spec = given } = given as { metadata?: unknown; spec?: unknown };
  const targets = JSON.stringify(spec).includes('"call"') ? {} : { targets: 'true' };
  const inputs = { type: 'object', properties: {} };
  const body = { inputs, ...targets, steps: changing, ...(spec as object) };
  return stringify({ apiVersion: 'fettle/v1', kind: 'Runbook', metadata, spec: body });
}

function lint(text: string): readonly LintFinding[] {
  const { documents, findings } = parseDocuments(text, { file: 'a.yaml' });
  expect(findings).toEqual([]);
  return lintDocuments(documents, { actions });
}

const codesOf = (text: string): string[] => lint(text).map(({ code }) => code);
const steps = (text: string): string => runbookOf(text);

describe('each rule', () => {
  it.each(Object.entries(lintRules) as [LintCode, LintRule][])(
    '%s finds its bad example, and not its good one',
    (code, rule) => {
      const bad = lint(runbookOf(rule.bad)).filter((finding) => finding.code === code);
      expect(bad.length).toBeGreaterThan(0);
      expect(bad[0]).toMatchObject({ level: rule.level, position: { file: 'a.yaml', line: expect.any(Number) } });
      expect(codesOf(runbookOf(rule.good))).not.toContain(code);
    },
  );

  it('is documented', () => {
    const page = readFileSync(new URL('../../../../docs/reference/lint.md', import.meta.url), 'utf8');
    for (const [code, { why, title, bad, good, level }] of Object.entries(lintRules) as [LintCode, LintRule][]) {
      for (const text of [`## ${code}`, why, title, `Level: ${level}`, ...bad.split('\n'), ...good.split('\n')])
        expect(page).toContain(text);
    }
  });
});

describe('lintDocuments', () => {
  it('gives line and column', () => {
    const text = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: a}
spec:
  targets: 'true'
  rollout: {waves: [1, '100%'], maxFailures: 0}
  steps:
    - id: list
      uses: ssh.run
      with: {argv: [sh, -c, 'ls \${{ inputs.path }}'], effect: read-only}
`;
    expect(lint(text)).toEqual([
      {
        code: 'expression-in-shell',
        level: 'error',
        message: expect.stringContaining('a shell reads this line'),
        path: 'spec.steps[0].with.argv[2]',
        position: { file: 'a.yaml', line: 10, column: 29 },
        step: 'list',
      },
    ]);
  });

  it('takes an approval as one before a step only where it is always asked', () => {
    const wipe = '{id: wipe, uses: ssh.run, with: {argv: [x], effect: irreversible}}';
    const ask = 'id: ask, approval: {roles: [operator]}';
    const without = (text: string): boolean => codesOf(steps(text)).includes('irreversible-without-approval');
    expect(without(`- {${ask}}\n- ${wipe}`)).toBe(false);
    expect(without(`- {${ask}}\n- {id: t, try: [${wipe}]}`)).toBe(false);
    expect(without(`- {id: t, try: [{${ask}}]}\n- ${wipe}`)).toBe(false);
    expect(without(`- {id: p, parallel: {a: [{${ask}}], b: [{id: w, wait: {duration: 1s}}]}}\n- ${wipe}`)).toBe(false);
    expect(without(`- ${wipe}\n- {${ask}}`)).toBe(true);
    expect(without(`- {${ask}, if: inputs.prod}\n- ${wipe}`)).toBe(true);
    expect(without(`- {${ask}, onError: continue}\n- ${wipe}`)).toBe(true);
    expect(
      without(`- {id: p, parallel: {a: [{${ask}}], b: [{id: w, wait: {duration: 1s}}]}, onError: continue}\n- ${wipe}`),
    ).toBe(true);
    expect(without(`- {id: t, try: [{${ask}}], catch: [{id: w, wait: {duration: 1s}}]}\n- ${wipe}`)).toBe(true);
    expect(without(`- {id: p, parallel: {a: [{${ask}}], b: [${wipe}]}}`)).toBe(true);
    expect(
      without(
        `- {id: c, choose: [{when: inputs.prod, steps: [{${ask}}]}, {steps: [{id: w, wait: {duration: 1s}}]}]}\n- ${wipe}`,
      ),
    ).toBe(true);
  });

  it('takes an effect by expression for the worst that it may come to', () => {
    const found = (declared: string, more = ''): string[] => {
      const inputs = `{type: object, properties: {e: {enum: [${declared}]}, s: {type: string}}}`;
      const step = `{id: wipe, uses: ssh.run, with: {argv: [x], effect: '\${{ inputs.e }}'${more}}, rollback: {none: x}}`;
      return lint(runbookOf(`inputs: ${inputs}\nsteps: [${step}]`)).map(({ code, message }) => `${code}: ${message}`);
    };
    const asked = 'irreversible-without-approval: "wipe" may be one that cannot be undone, as an expression decides';
    expect(found('read-only, irreversible').join('\n')).toContain(asked);
    expect(found('read-only, mutating').join('\n')).not.toContain('irreversible');
    expect(found('read-only, mutating').join('\n')).toContain('no-failure-limit');
    expect(found('read-only, idempotent').join('\n')).not.toContain('no-failure-limit');
    const codes = (step: string): string[] => codesOf(steps(`- {id: wipe, ${step}}`));
    const bySelf = "uses: ssh.run, with: {argv: [x], effect: '${{ inputs.s }}'}";
    expect(codes(bySelf)).toContain('irreversible-without-approval');
    const ask = '- {id: ask, approval: {roles: [operator]}}';
    expect(codesOf(steps(`${ask}\n- {id: wipe, ${bySelf}}`))).not.toContain('irreversible-without-approval');
    // Another member by expression leaves the effect what it is.
    const other = "uses: ssh.run, with: {argv: [x], codes: '${{ inputs.c }}'}";
    expect(codes(other)).toContain('mutating-without-rollback');
    expect(codes(other)).not.toContain('irreversible-without-approval');
  });

  it('knows what is inside of what is never carried out', () => {
    const found = lint(
      steps(
        "- {id: never, if: 'false', try: [{id: a, uses: ssh.run, with: {argv: [x]}}, {id: b, uses: ssh.run, with: {argv: [x]}}]}",
      ),
    );
    expect(found.filter(({ code }) => code === 'unreachable-step')).toHaveLength(1);
    expect(
      codesOf(steps('- {id: e, forEach: {items: [], as: i, steps: [{id: a, uses: ssh.run, with: {argv: [x]}}]}}')),
    ).toContain('unreachable-step');
    const chosen =
      "- {id: c, choose: [{when: 'true', steps: [{id: a, uses: ssh.run, with: {argv: [x]}}]}, {steps: [{id: b, uses: ssh.run, with: {argv: [x]}}]}]}";
    expect(lint(steps(chosen)).filter(({ code }) => code === 'unreachable-step')).toMatchObject([{ step: 'c' }]);
    const after =
      "- {id: bad, if: '1 / 0 == 1', uses: ssh.run, with: {argv: [x]}}\n- {id: rest, uses: ssh.run, with: {argv: [x]}}";
    expect(lint(steps(after)).filter(({ code }) => code === 'unreachable-step')).toMatchObject([{ step: 'rest' }]);
  });

  it('asks no has(...) where the same condition, or the branch, sees to it', () => {
    const missing = (text: string): boolean => codesOf(steps(text)).includes('output-may-be-missing');
    const find = '{id: find, if: inputs.look, uses: ssh.run, with: {argv: [ls]}}';
    const use = (more = ''): string =>
      `{id: use, ${more}uses: ssh.run, with: {argv: [cat, '\${{ steps.find.stdout }}']}}`;
    expect(missing(`- ${find}\n- ${use()}`)).toBe(true);
    expect(missing(`- ${find}\n- ${use('if: inputs.look, ')}`)).toBe(false);
    expect(missing(`- ${find}\n- {id: t, if: has(steps.find.stdout), try: [${use()}]}`)).toBe(false);
    const plain = '{id: find, uses: ssh.run, with: {argv: [ls]}}';
    expect(missing(`- {id: c, choose: [{when: inputs.a, steps: [${plain}, ${use()}]}]}`)).toBe(false);
    expect(missing(`- {id: c, choose: [{when: inputs.a, steps: [${plain}]}]}\n- ${use()}`)).toBe(true);
    expect(missing(`- {id: t, try: [${plain}], finally: [${use()}]}`)).toBe(false);
  });

  it('does not take names of credentials and expressions for secrets', () => {
    const secret = (text: string): boolean => codesOf(steps(text)).includes('secret-in-document');
    expect(secret('- {id: a, uses: ssh.run, with: {argv: [login, --password, hunter2]}}')).toBe(true);
    expect(secret('- {id: a, uses: ssh.run, with: {argv: [login, --token=abc]}}')).toBe(true);
    expect(secret('- {id: a, uses: ssh.run, with: {argv: [x], environment: {DB_PASSWORD: hunter2}}}')).toBe(true);
    expect(secret("- {id: a, uses: http.request, with: {url: 'https://me:pw@example.org'}}")).toBe(true);
    expect(secret("- {id: a, uses: ssh.run, with: {argv: [login, --password, '${{ inputs.x }}']}}")).toBe(false);
    expect(
      secret(
        '- {id: a, uses: ssh.run, with: {argv: [login, --token, --verbose], secretEnvironment: {API_TOKEN: api}}}',
      ),
    ).toBe(false);
    expect(secret("- {id: a, uses: http.request, with: {url: 'https://example.org/@me', bearer: api-token}}")).toBe(
      false,
    );
  });

  it('follows calls through the files that it is given', () => {
    const book = (name: string, calls: string): string =>
      runbookOf(`metadata: {name: ${name}}\nspec: {steps: [{id: c, call: {runbook: ${calls}}}]}`);
    const found = lint([book('a', 'b'), book('b', 'a'), book('c', 'a')].join('---\n'));
    expect(found.filter(({ code }) => code === 'recursive-call').map(({ message }) => message)).toEqual([
      'these runbooks call each other: a -> b -> a',
      'these runbooks call each other: b -> a -> b',
    ]);
  });

  it('ignores what the document gives a reason for, and says so', () => {
    const ignore = (entry: string): string =>
      runbookOf(
        `lint: {ignore: [${entry}]}\nrollout: {waves: [1, '100%'], maxFailures: 0}\nsteps: [{id: a, uses: ssh.run, with: {argv: [x]}}, {id: b, uses: ssh.run, with: {argv: [x]}}]`,
      );
    const found = lint(ignore('{code: mutating-without-rollback, step: a, reason: it only adds}'));
    expect(found.map(({ code, step, ignored }) => ({ code, step, ignored }))).toEqual([
      { code: 'mutating-without-rollback', step: 'a', ignored: 'it only adds' },
      { code: 'mutating-without-rollback', step: 'b', ignored: undefined },
    ]);
    expect(lint(ignore('{code: mutating-without-rollback, reason: x}')).every(({ ignored }) => ignored === 'x')).toBe(
      true,
    );
    expect(lint(ignore('{code: nonsense, reason: x}'))).toContainEqual(
      expect.objectContaining({ code: 'unused-ignore', message: expect.stringContaining('no such code') }),
    );
    expect(parseDocuments(ignore('{code: no-waves}'), { file: 'a' }).findings).not.toEqual([]);
  });
});
