import { z } from 'zod';
import { plannedCapacitySchema } from './api-plan-capacity.js';
import { plannedCalendarSchema } from './calendar-views.js';
import { selectorSchema } from './documents.js';
import { DEFAULT_SPACE, nameSchema } from './ids.js';
import { effects } from './states.js';

/**
 * A plan: what a run would do, without doing it. `POST /api/v1/plans` answers with one, `fettle plan` prints it, and a start bound to
 * its digest does exactly this or nothing. The engine makes it of the same decisions by which it runs.
 */
export const planRequestSchema = z.strictObject({
  runbook: nameSchema,
  space: nameSchema.default(DEFAULT_SPACE),
  /** Digest or number of a version; absent: the current one. */
  version: z.string().max(80).optional(),
  inputs: z.record(z.string(), z.unknown()).default({}),
  /** Narrows the runbook's selector. */
  on: selectorSchema.optional(),
  allowEmpty: z.boolean().default(false),
});
export type PlanRequestBody = z.infer<typeof planRequestSchema>;

/** `sha256:` and 64 hex digits. */
export const planDigestSchema = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, { message: 'must be the digest of a plan, "sha256:" and 64 hex digits' });

/** Names of steps whose outputs are needed before more can be told; sorted. */
const knownAfterSchema = z.array(z.string());

const plannedFileSchema = z.object({
  path: z.string(),
  mode: z.string(),
  sha256: z.string(),
  sizeBytes: z.int(),
  /** Its content reads what these steps yield: `sha256` and `sizeBytes` are of the text that stands for it until then. Absent: known. */
  knownAfter: knownAfterSchema.optional(),
});

export const renderedSchema = z.object({
  argv: z.array(z.array(z.string())),
  becomeUser: z.string().optional(),
  files: z.array(plannedFileSchema),
  calls: z.array(z.object({ method: z.string(), url: z.string() })),
});
export type PlannedRendered = z.infer<typeof renderedSchema>;

/** What a step would do: on a target, or once for the run. */
export const plannedOutcomeSchema = z.discriminatedUnion('outcome', [
  /** Its condition is false. */
  z.object({ outcome: z.literal('skip') }),
  /** It cannot be carried out: its input does not fit, or its condition cannot be determined. */
  z.object({ outcome: z.literal('fail'), error: z.object({ code: z.string(), message: z.string() }) }),
  /** The step named fails before it, so that it is never begun. */
  z.object({ outcome: z.literal('not-reached'), after: z.string() }),
  z.object({
    outcome: z.literal('run'),
    effect: z.enum(effects),
    rendered: renderedSchema,
    /** Of the whole input, that part of it included which `rendered` does not show. */
    inputDigest: z.string(),
    /** Steps whose outputs stand as `(known after <step>)` in `rendered`; whether it runs may depend on them, too. */
    knownAfter: knownAfterSchema,
  }),
  /** Nothing can be shown before the named steps have ended: the input's shape depends on them. */
  z.object({ outcome: z.literal('unknown'), knownAfter: knownAfterSchema }),
]);
export type PlannedOutcome = z.infer<typeof plannedOutcomeSchema>;

/** One outcome with all targets that share it: equal renderings stand once. */
export const plannedVariantSchema = z.intersection(
  plannedOutcomeSchema,
  z.object({
    /** Number of the targets; 1 for a step of the run itself. */
    count: z.int(),
    /** Names of the targets, sorted by id; empty for a step of the run itself. */
    targets: z.array(z.string()),
  }),
);
export type PlannedVariant = PlannedOutcome & { readonly count: number; readonly targets: readonly string[] };

/** Whether a flow step is carried out, which the run level decides. */
export const plannedGateSchema = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('run') }),
  z.object({ outcome: z.literal('skip') }),
  z.object({ outcome: z.literal('fail'), error: z.object({ code: z.string(), message: z.string() }) }),
  z.object({ outcome: z.literal('not-reached'), after: z.string() }),
  z.object({ outcome: z.literal('unknown'), knownAfter: knownAfterSchema }),
]);
export type PlannedGate = z.infer<typeof plannedGateSchema>;

/** What has to hold between two waves: CEL of the run level, and an action that is repeated until its condition holds. */
export const plannedWaveGateSchema = z.object({
  require: z.string().nullable(),
  condition: z.string().nullable().optional(),
  every: z.string().optional(),
  timeout: z.string().optional(),
  consecutive: z.int().optional(),
  look: plannedOutcomeSchema.optional(),
});
export type PlannedWaveGate = z.infer<typeof plannedWaveGateSchema>;

interface PlannedBase {
  /** Names the step in the plan, with the iterations, handlers and calls around it: `each_site[ber]/restart`. */
  readonly path: string;
  readonly stepId: string;
  readonly name?: string | undefined;
  /** What is carried out when the step fails. */
  readonly handler?: { readonly name: string; readonly steps: readonly PlannedNode[] } | undefined;
}
interface PlannedFlow extends PlannedBase {
  readonly gate: PlannedGate;
}

export type PlannedRollback =
  | { readonly kind: 'step'; readonly uses: string; readonly variants: readonly PlannedVariant[] }
  /** The action undoes itself. */
  | { readonly kind: 'action'; readonly compensation: string }
  /** There is none, and why. */
  | { readonly kind: 'none'; readonly reason: string };

export interface PlannedAction extends PlannedBase {
  readonly kind: 'action';
  readonly uses: string;
  readonly actionVersion: number;
  readonly scope: 'target' | 'control';
  /** The most frequent one first. */
  readonly variants: readonly PlannedVariant[];
  readonly rollback?: PlannedRollback | undefined;
}
export interface PlannedParallel extends PlannedFlow {
  readonly kind: 'parallel';
  readonly failFast: boolean;
  readonly branches: readonly { readonly name: string; readonly steps: readonly PlannedNode[] }[];
}
export interface PlannedForEach extends PlannedFlow {
  readonly kind: 'for-each';
  readonly as: string;
  readonly concurrency: number;
  /** Steps on which the items depend; the steps stand once then, for an item that is not known. */
  readonly knownAfter: readonly string[];
  readonly iterations: readonly {
    /** Null: for each of the items. */
    readonly key: string | null;
    readonly item: unknown;
    readonly steps: readonly PlannedNode[];
  }[];
}
export interface PlannedChoose extends PlannedFlow {
  readonly kind: 'choose';
  readonly branches: readonly {
    readonly when: string | null;
    readonly taken: 'yes' | 'no' | 'perhaps';
    readonly knownAfter: readonly string[];
    /** Empty where it is not taken. */
    readonly steps: readonly PlannedNode[];
  }[];
}
export interface PlannedCall extends PlannedFlow {
  readonly kind: 'call';
  readonly runbook: string;
  /** Null: it cannot be told which. */
  readonly version: string | null;
  readonly targetMode: 'own' | 'inherit';
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Steps whose outputs the inputs read. */
  readonly knownAfter: readonly string[];
  readonly targets: { readonly count: number; readonly digest: string; readonly names: readonly string[] };
  readonly steps: readonly PlannedNode[];
}
export interface PlannedApproval extends PlannedFlow {
  readonly kind: 'approval';
  /** Null: none, or it depends on what is not known yet. */
  readonly message: string | null;
  readonly roles: readonly string[];
  readonly principals: readonly string[];
  readonly quorum: number;
  readonly allowSelf: boolean;
  readonly expires: string | number;
}
export interface PlannedWait extends PlannedFlow {
  readonly kind: 'wait';
  readonly waitsFor: 'duration' | 'until' | 'condition' | 'signal';
  /** The duration, the moment, the condition or the name of the signal. */
  readonly detail: string;
  /** What a wait for a condition does at each look. */
  readonly look?: PlannedOutcome | undefined;
}
export interface PlannedTry extends PlannedFlow {
  readonly kind: 'try';
  readonly body: readonly PlannedNode[];
  readonly catch: readonly PlannedNode[] | null;
  readonly finally: readonly PlannedNode[] | null;
}
export type PlannedNode =
  | PlannedAction
  | PlannedParallel
  | PlannedForEach
  | PlannedChoose
  | PlannedCall
  | PlannedApproval
  | PlannedWait
  | PlannedTry;

const nodes: z.ZodType<PlannedNode[]> = z.lazy(() => z.array(plannedNodeSchema));
const handler = z.object({ name: z.string(), steps: nodes }).optional();
const base = { path: z.string(), stepId: z.string(), name: z.string().optional(), handler };
const flow = { ...base, gate: plannedGateSchema };
export const plannedRollbackSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('step'), uses: z.string(), variants: z.array(plannedVariantSchema) }),
  z.object({ kind: z.literal('action'), compensation: z.string() }),
  z.object({ kind: z.literal('none'), reason: z.string() }),
]);

export const plannedNodeSchema: z.ZodType<PlannedNode> = z.union([
  z.object({
    ...base,
    kind: z.literal('action'),
    uses: z.string(),
    actionVersion: z.int(),
    scope: z.enum(['target', 'control']),
    variants: z.array(plannedVariantSchema),
    rollback: plannedRollbackSchema.optional(),
  }),
  z.object({
    ...flow,
    kind: z.literal('parallel'),
    failFast: z.boolean(),
    branches: z.array(z.object({ name: z.string(), steps: nodes })),
  }),
  z.object({
    ...flow,
    kind: z.literal('for-each'),
    as: z.string(),
    concurrency: z.int(),
    knownAfter: knownAfterSchema,
    iterations: z.array(z.object({ key: z.string().nullable(), item: z.unknown(), steps: nodes })),
  }),
  z.object({
    ...flow,
    kind: z.literal('choose'),
    branches: z.array(
      z.object({
        when: z.string().nullable(),
        taken: z.enum(['yes', 'no', 'perhaps']),
        knownAfter: knownAfterSchema,
        steps: nodes,
      }),
    ),
  }),
  z.object({
    ...flow,
    kind: z.literal('call'),
    runbook: z.string(),
    version: z.string().nullable(),
    targetMode: z.enum(['own', 'inherit']),
    inputs: z.record(z.string(), z.unknown()),
    knownAfter: knownAfterSchema,
    targets: z.object({ count: z.int(), digest: z.string(), names: z.array(z.string()) }),
    steps: nodes,
  }),
  z.object({
    ...flow,
    kind: z.literal('approval'),
    message: z.string().nullable(),
    roles: z.array(z.string()),
    principals: z.array(z.string()),
    quorum: z.int(),
    allowSelf: z.boolean(),
    expires: z.union([z.string(), z.number()]),
  }),
  z.object({
    ...flow,
    kind: z.literal('wait'),
    waitsFor: z.enum(['duration', 'until', 'condition', 'signal']),
    detail: z.string(),
    look: plannedOutcomeSchema.optional(),
  }),
  z.object({ ...flow, kind: z.literal('try'), body: nodes, catch: nodes.nullable(), finally: nodes.nullable() }),
]);

export const planSchema = z.object({
  format: z.literal(1),
  runbook: z.object({ space: z.string(), name: z.string(), version: z.string() }),
  inputs: z.record(z.string(), z.unknown()),
  /** Everything by which the run is carried out: the runbook, those it calls, and the actions they use. */
  closure: z.object({
    runbooks: z.array(z.object({ name: z.string(), version: z.string() })),
    actions: z.array(z.object({ name: z.string(), version: z.int() })),
  }),
  /** Credentials that steps and connections open; `version` null: there is none of that name. */
  credentials: z.array(z.object({ name: z.string(), version: z.int().nullable(), usedBy: z.array(z.string()) })),
  targets: z.object({
    count: z.int(),
    /** As the run itself has it. */
    digest: z.string(),
    /** Assets for which the selector was neither true nor false. */
    undetermined: z.int(),
    /** Sorted by id. */
    items: z.array(z.object({ assetId: z.string(), name: z.string() })),
  }),
  /** Absent: the runbook has none. */
  waves: z.array(z.object({ number: z.int(), targets: z.int() })).optional(),
  /** What has to hold between two waves; absent: nothing. */
  waveGate: plannedWaveGateSchema.optional(),
  steps: z.array(plannedNodeSchema),
  /** What will be asked before the run goes on, in the order of the steps. */
  approvals: z.array(z.object({ path: z.string(), message: z.string().nullable() })),
  /** What the run takes, and who holds it now; conflicts come and go and are no part of the digest. */
  capacity: plannedCapacitySchema,
  /** What the run would meet of calendars now; no part of the digest. Absent: none holds for it, or nobody could be asked. */
  calendar: plannedCalendarSchema.optional(),
  /** Of closure, inputs, versions of credentials, target set, everything rendered and its effects; not of facts or time. */
  digest: planDigestSchema,
});
export type Plan = z.infer<typeof planSchema>;
