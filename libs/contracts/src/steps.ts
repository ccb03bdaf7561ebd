import { z } from 'zod';
import { backoffSchema, durationSchema, type Duration } from './duration.js';
import { nameSchema } from './ids.js';
import { roles, type Role } from './states.js';

/** CEL without `${{ }}`. */
export const expressionSchema = z.string().min(1).max(4096);

export const retrySchema = z.strictObject({
  /** Attempts in all, the first included. */
  maxAttempts: z.int().min(1).max(20),
  /** Wait before the second attempt; doubles with each further one up to `maxBackoff`. */
  backoff: backoffSchema.default('5s'),
  maxBackoff: backoffSchema.default('5m'),
});
export type Retry = z.infer<typeof retrySchema>;

export const stepIdSchema = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, {
  message: 'must start with a lower-case letter and hold only lower-case letters, digits and "_" (at most 63)',
});

/** A step as the journal names it: its id, after the iterations and handlers that it stands in: `each_site[ber]/restart`. */
export const stepPathSchema = z.string().regex(/^[a-z][A-Za-z0-9_.:@%!#/[\]~-]{0,499}$/, {
  message: 'must be the path of a step, such as "restart" or "each_site[ber]/restart"',
});

/** A named thing of which so many units may be in use at once, in all runs together: `db:billing`, `site:${{ inputs.site }}`. */
export const capacityWantSchema = z.union([
  z.string().min(1).max(200),
  z.strictObject({ key: z.string().min(1).max(200), units: z.int().min(1).max(10_000).default(1) }),
]);
export const capacitySchema = z.array(capacityWantSchema).min(1).max(20);
export type CapacityWant = z.infer<typeof capacityWantSchema>;

/** What all steps have. */
const common = {
  id: stepIdSchema,
  name: z.string().max(200).optional(),
  /** The step is skipped where it is not true. */
  if: expressionSchema.optional(),
  /** `fail`, `continue`, or the name of one of the runbook's `handlers`, which is carried out as the step's `catch`. */
  onError: z.union([z.enum(['fail', 'continue']), stepIdSchema]).default('fail'),
  /** Taken before the step, all at once, and given back after it. */
  capacity: capacitySchema.optional(),
};
interface Common {
  readonly id: string;
  readonly name?: string | undefined;
  readonly if?: string | undefined;
  readonly onError: string;
  readonly capacity?: CapacityWant[] | undefined;
}

const actionFields = {
  uses: z.string().min(1).max(100),
  /** Checked against the action's input schema once `${{ }}` are evaluated; whatever is constant is checked by `validate`. */
  with: z.record(z.string(), z.unknown()).default({}),
  retry: retrySchema.optional(),
  timeout: durationSchema.optional(),
};

/** How a step that changed something is undone, or why it cannot be. Reads what the step itself reads, and its outputs. */
export const rollbackSchema = z.union([
  z.strictObject(actionFields),
  z.strictObject({ none: z.string().min(1).max(500) }),
]);
export type Rollback = z.infer<typeof rollbackSchema>;
export type RollbackAction = Exclude<Rollback, { none: string }>;

/** An action: on each target, or once for the run, as its contract says. */
export const actionStepSchema = z.strictObject({
  ...common,
  ...actionFields,
  /** Name -> CEL over `result` (the action's output); later steps read it as `steps.<id>.<name>`. */
  outputs: z.record(stepIdSchema, expressionSchema).optional(),
  rollback: rollbackSchema.optional(),
});
export type ActionStep = z.infer<typeof actionStepSchema>;

/** Branches beside each other. Targets do one thing at a time: where branches have target steps, these take turns. */
export interface ParallelStep extends Common {
  readonly parallel: Readonly<Record<string, Step[]>>;
  /** Cancel the other branches when one fails; otherwise they go on to their end. */
  readonly failFast: boolean;
}
/** Its steps once for each item, read as `item.<as>`; one after the other unless `concurrency` says more. */
export interface ForEachStep extends Common {
  readonly forEach: {
    /** A list, or CEL over what the run level knows that yields one. At most 1,000 items. */
    readonly items: unknown[] | string;
    readonly as: string;
    readonly concurrency: number;
    readonly failFast: boolean;
    readonly steps: Step[];
  };
  /** Name -> CEL over `result`: a list with `{key, state, outputs}` for each item, in their order. */
  readonly outputs?: Readonly<Record<string, string>> | undefined;
}
/** The first branch whose `when` is true; the last one may have none. None fits: the step is skipped. */
export interface ChooseStep extends Common {
  readonly choose: readonly { readonly when?: string | undefined; readonly steps: Step[] }[];
}
/** Another runbook as a run of its own. */
export interface CallStep extends Common {
  readonly call: {
    readonly runbook: string;
    /** Digest of a version; absent: the newest one when the run starts. */
    readonly version?: string | undefined;
    readonly inputs: Readonly<Record<string, unknown>>;
    /** `own`: those of the called runbook. `inherit`: those of them that are targets of this run and still in it. */
    readonly targets: 'own' | 'inherit';
    /** Narrows them further; a selector. */
    readonly on?: string | undefined;
  };
  /** Name -> CEL over `result`, the called runbook's outputs. */
  readonly outputs?: Readonly<Record<string, string>> | undefined;
}
/** Waits until enough people have said yes. */
export interface ApprovalStep extends Common {
  readonly approval: {
    /** What is asked; text with `${{ }}`. */
    readonly message?: string | undefined;
    /** Who may decide: anybody with one of these roles on the run's runbook and targets, or named here. */
    readonly roles: Role[];
    readonly principals: string[];
    /** Different people who have to approve. One rejection rejects. */
    readonly quorum: number;
    /** Whether whoever requested the run may approve it. */
    readonly allowSelf: boolean;
    /** Without a decision by then it is rejected. */
    readonly expires: Duration;
    /** Who else may decide after a while. */
    readonly escalate?: { readonly after: Duration; readonly roles: Role[]; readonly principals: string[] } | undefined;
    readonly onDrift: 'fail' | 'ask-again';
  };
}
/** Lets time pass, or waits for something. */
export interface WaitStep extends Common {
  readonly wait:
    | { readonly duration: Duration }
    /** RFC 3339 with offset, possibly by `${{ }}`; a moment that has passed does not wait. */
    | { readonly until: string }
    /** A control action that is repeated until `condition` over its `result` is true; fails after `timeout`. */
    | {
        readonly uses: string;
        readonly with: Readonly<Record<string, unknown>>;
        readonly condition: string;
        readonly every: Duration;
        readonly timeout: Duration;
      }
    /** A signal from outside (`fettle run signal`), whose payload fits the JSON Schema; fails after `timeout`. */
    | {
        readonly signal: string;
        readonly payload: Readonly<Record<string, unknown>>;
        readonly timeout: Duration;
      };
  /** Name -> CEL over `result`: the output of the action, or the payload. */
  readonly outputs?: Readonly<Record<string, string>> | undefined;
}
/**
 * `catch` where a step of `try` fails, which reads `error.code`, `error.message` and `error.step`; `finally` in any case, also where
 * the run is cancelled. With steps on targets only, each target goes through it by itself.
 */
export interface TryStep extends Common {
  readonly try: Step[];
  readonly catch?: Step[] | undefined;
  readonly finally?: Step[] | undefined;
}

export type FlowStep = ParallelStep | ForEachStep | ChooseStep | CallStep | ApprovalStep | WaitStep | TryStep;
export type Step = ActionStep | FlowStep;

/** The member that tells what a step is. */
export const stepKinds = ['uses', 'parallel', 'forEach', 'choose', 'call', 'approval', 'wait', 'try'] as const;
export type StepKind = (typeof stepKinds)[number];

const nested: z.ZodType<Step[]> = z.lazy(() => z.array(stepSchema).min(1).max(200));
const outputsSchema = z.record(stepIdSchema, expressionSchema).optional();

export const parallelStepSchema = z.strictObject({
  ...common,
  parallel: z
    .record(stepIdSchema, nested)
    .refine((branches) => Object.keys(branches).length >= 2 && Object.keys(branches).length <= 20, {
      message: 'must have 2 to 20 branches',
    }),
  failFast: z.boolean().default(false),
});
export const forEachStepSchema = z.strictObject({
  ...common,
  forEach: z.strictObject({
    items: z.union([z.array(z.unknown()).max(1000), expressionSchema]),
    as: stepIdSchema,
    concurrency: z.int().min(1).max(100).default(1),
    failFast: z.boolean().default(true),
    steps: nested,
  }),
  outputs: outputsSchema,
});
export const chooseStepSchema = z.strictObject({
  ...common,
  choose: z
    .array(z.strictObject({ when: expressionSchema.optional(), steps: nested }))
    .min(1)
    .max(20),
});
export const callStepSchema = z.strictObject({
  ...common,
  call: z.strictObject({
    runbook: nameSchema,
    version: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, { message: 'must be the digest of a version, "sha256:" and 64 hex digits' })
      .optional(),
    inputs: z.record(z.string(), z.unknown()).default({}),
    targets: z.enum(['own', 'inherit']).default('own'),
    on: expressionSchema.optional(),
  }),
  outputs: outputsSchema,
});
const approvers = {
  roles: z.array(z.enum(roles)).max(10).default([]),
  principals: z.array(z.string().min(1).max(200)).max(50).default([]),
};
export const approvalStepSchema = z.strictObject({
  ...common,
  approval: z.strictObject({
    message: z.string().max(4096).optional(),
    ...approvers,
    quorum: z.int().min(1).max(10).default(1),
    allowSelf: z.boolean().default(false),
    expires: durationSchema.default('24h'),
    escalate: z.strictObject({ after: durationSchema, ...approvers }).optional(),
    onDrift: z.enum(['fail', 'ask-again']).default('fail'),
  }),
});
export const waitStepSchema = z.strictObject({
  ...common,
  wait: z.union([
    z.strictObject({ duration: durationSchema }),
    z.strictObject({ until: z.string().min(1).max(4096) }),
    z.strictObject({
      uses: actionFields.uses,
      with: actionFields.with,
      condition: expressionSchema,
      every: durationSchema.default('10s'),
      timeout: durationSchema.default('10m'),
    }),
    z.strictObject({
      signal: nameSchema,
      payload: z.record(z.string(), z.unknown()).default({ type: 'object' }),
      timeout: durationSchema.default('24h'),
    }),
  ]),
  outputs: outputsSchema,
});
export const tryStepSchema = z.strictObject({
  ...common,
  try: nested,
  catch: nested.optional(),
  finally: nested.optional(),
});

/** The shape of each kind of step, by the member that tells it. */
export const stepShapes = {
  uses: actionStepSchema,
  parallel: parallelStepSchema,
  forEach: forEachStepSchema,
  choose: chooseStepSchema,
  call: callStepSchema,
  approval: approvalStepSchema,
  wait: waitStepSchema,
  try: tryStepSchema,
} as const satisfies Record<StepKind, z.ZodType>;

export const stepSchema: z.ZodType<Step> = z.union([
  actionStepSchema,
  parallelStepSchema,
  forEachStepSchema,
  chooseStepSchema,
  callStepSchema,
  approvalStepSchema,
  waitStepSchema,
  tryStepSchema,
]);
export const stepsSchema: z.ZodType<Step[]> = z.array(stepSchema).min(1).max(200);

export function isActionStep(step: Step): step is ActionStep {
  return 'uses' in step;
}

/** A list of steps directly inside of another, with where it stands in it. */
export interface StepList {
  readonly path: readonly (string | number)[];
  readonly steps: readonly Step[];
}

/** The lists of steps directly inside of a step, in the order in which they are carried out. */
export function nestedSteps(step: Step): readonly StepList[] {
  if ('parallel' in step) {
    // By name: the order of members is not kept everywhere that a document is stored.
    const names = Object.keys(step.parallel).sort();
    return names.map((name) => ({ path: ['parallel', name], steps: step.parallel[name] ?? [] }));
  }
  if ('forEach' in step) return [{ path: ['forEach', 'steps'], steps: step.forEach.steps }];
  if ('choose' in step) {
    return step.choose.map(({ steps }, index) => ({ path: ['choose', index, 'steps'], steps }));
  }
  if (!('try' in step)) return [];
  return (['try', 'catch', 'finally'] as const).flatMap((path) => {
    const steps = step[path];
    return steps === undefined ? [] : [{ path: [path], steps }];
  });
}

/** Every step with those inside of it, each before what it holds: the order of the text. */
export function* walkSteps(steps: readonly Step[]): Generator<Step> {
  for (const step of steps) {
    yield step;
    for (const list of nestedSteps(step)) yield* walkSteps(list.steps);
  }
}
