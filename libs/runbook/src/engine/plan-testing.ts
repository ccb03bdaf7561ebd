// What the tests of plans share: two actions, assets, and requests.
import { defineAction, effects, runbookSpecSchema, type PlannedAction, type PlannedNode } from '@fettle/contracts';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { walkPlan } from './plan.js';
import type { PlanRequest, PlanTarget } from './plan-request.js';
import type { ActionRegistry } from './program-nodes.js';

const common = {
  version: 1,
  summary: 's',
  defaultTimeoutMs: 1000,
  maxTimeoutMs: 1000,
  compensation: null,
  probe: null,
};
export const actions = {
  'ssh.run': defineAction({
    ...common,
    name: 'ssh.run',
    scope: 'target',
    secretInputs: ['become.credential'],
    input: z.strictObject({
      argv: z.array(z.string()).min(1),
      codes: z.array(z.int()).default([0]),
      standardInput: z.string().optional(),
      become: z.strictObject({ credential: z.string() }).optional(),
      effect: z.enum(effects).default('mutating'),
    }),
    output: z.object({ stdout: z.string() }),
    effect: (input) => input.effect,
    render: (input, target) => ({ argv: [['on', target.name, ...input.argv]], files: [], calls: [] }),
  }),
  'asset.gather': defineAction({
    ...common,
    name: 'asset.gather',
    scope: 'target',
    secretInputs: [],
    changesFacts: true,
    input: z.strictObject({}),
    output: z.object({ missing: z.array(z.string()) }),
    effect: () => 'read-only',
    render: () => ({ argv: [['uname']], files: [], calls: [] }),
  }),
  'file.put': defineAction({
    ...common,
    name: 'file.put',
    scope: 'target',
    secretInputs: [],
    input: z.strictObject({ path: z.string(), content: z.string(), owner: z.string().optional() }),
    output: z.object({ changed: z.boolean() }),
    effect: () => 'idempotent',
    render: ({ path, content }) => {
      const sha = bytesToHex(sha256(utf8ToBytes(content)));
      const file = { path, mode: '0644', sha256: sha, sizeBytes: utf8ToBytes(content).length };
      return { argv: [], files: [file], calls: [] };
    },
  }),
  'http.request': defineAction({
    ...common,
    name: 'http.request',
    scope: 'control',
    secretInputs: ['bearer'],
    input: z.strictObject({ url: z.string(), bearer: z.string().optional() }),
    output: z.object({ status: z.int(), sites: z.array(z.string()) }),
    effect: () => 'read-only',
    render: (input) => ({ argv: [], files: [], calls: [{ method: 'GET', url: input.url }] }),
  }),
} as const satisfies ActionRegistry;

export const target = (
  assetId: string,
  name: string,
  role?: string,
  facts: Readonly<Record<string, unknown>> = {},
): PlanTarget => ({
  assetId,
  name,
  asset: { name, labels: role === undefined ? {} : { role }, facts, quarantined: false },
});

export const request = (
  steps: readonly unknown[],
  more: Partial<PlanRequest> & { readonly rest?: Readonly<Record<string, unknown>> } = {},
): PlanRequest => {
  const { rest = {}, ...given } = more;
  return {
    space: 'default',
    runbook: 'book',
    version: 'sha256:1',
    spec: runbookSpecSchema.parse({ targets: 'true', steps, ...rest }),
    actions,
    inputs: { path: '/tmp/x' },
    targets: [target('b', 'web-2', 'app'), target('a', 'web-1', 'web'), target('c', 'web-3')],
    ...given,
  };
};

/** The step of that path; the test fails where there is none. */
export function nodeAt(plan: { readonly steps: readonly PlannedNode[] }, path: string): PlannedNode {
  for (const node of walkPlan(plan.steps)) if (node.path === path) return node;
  throw new Error(`no node ${path}: ${[...walkPlan(plan.steps)].map((node) => node.path).join(', ')}`);
}

export function actionAt(plan: { readonly steps: readonly PlannedNode[] }, path: string): PlannedAction {
  const node = nodeAt(plan, path);
  if (node.kind === 'action') return node;
  throw new Error(`${path} is a ${node.kind}`);
}

/** `outcome: names` of each variant. */
export function shown(node: PlannedAction): string[] {
  return node.variants.map(({ outcome, targets }) => `${outcome}: ${targets.join(' ')}`);
}
