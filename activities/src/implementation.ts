import {
  FettleError,
  type ActionContract,
  type Endpoint,
  type ProbeAnswer,
  type ProbeLook,
  type Rendered,
  type StepState,
} from '@fettle/contracts';
import type { Become, SshCredential, SshEndpoint, SshJump, SshPool } from '@fettle/drivers';
import type { Redactor } from '@fettle/security';
import type { z } from 'zod';
import type { CountAssets } from './asset/count.js';
import type { BecomeInput } from './contracts.js';
import type { PatchLedger, PatchLookup, TestedSets } from './patch/ledger.js';

/**
 * The value of a credential by its name. Of the kinds given; without them a `password` on a target, and a `token` where the run
 * itself acts.
 */
export type OpenSecret = (name: string, kinds?: readonly SecretKind[]) => Promise<string>;
/** A private key is used by the worker and leaves it for nobody. */
export type SecretKind = 'password' | 'token';

/** Where an action on a target acts, and with what. */
export interface TargetContext {
  readonly asset: { readonly id: string; readonly name: string; readonly space: string };
  readonly endpoint: SshEndpoint;
  readonly credential: SshCredential;
  readonly ssh: SshPool;
  /** Effect token: HMAC of run, step, target, phase and generation. */
  readonly token: string;
  readonly undo: UndoContext;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Takes output for the step's log; never fails, keeps to the log's limits. */
  readonly output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
  readonly secret: OpenSecret;
  /** Masks what was opened so far in a stream of bytes: for output that is cut before it is given back. */
  readonly redactor: () => Redactor;
  readonly saveFacts: (facts: GatheredFacts) => Promise<void>;
  readonly patches: PatchLedger;
  readonly memo: MemoContext;
  /** Who would sign in with this credential, and with what; nobody has tried. Only for credentials that the input names. */
  readonly identity: (name: string) => Promise<{ readonly user: string; readonly credential: SshCredential }>;
  /** Makes it the credential of the asset's endpoint (null: changes nothing); gives the one that it had. */
  readonly useCredential: (name: string | null) => Promise<string>;
  /** A line of ours in the step's log. */
  readonly note: (text: string) => void;
  /** Set where the command outlives the connection and the worker. */
  readonly detached: DetachedContext | null;
}

/** What doing and undoing a step on a target have in common. */
export interface UndoContext {
  /** The effect's token of the first attempt to do it, whatever the attempt: what one keeps under it the other finds. */
  readonly stepToken: string;
  /** While it is done: what its inherited undo will need is to be kept. */
  readonly keeps: boolean;
  /** While it is undone: how the step ended; null: it is done. */
  readonly of: StepState | null;
  /** While it is undone: when its last attempt was begun; null or absent: it is not known. */
  readonly startedAt?: Date | null;
}

/** What an attempt keeps of the time before its effect, under its token: known to whoever takes it over. Never a secret. */
export interface MemoContext {
  recall(): Promise<KeptMemo | null>;
  /** Keeps it before the effect; gives what was kept first. */
  keep(value: Readonly<Record<string, unknown>>): Promise<KeptMemo>;
}

export interface KeptMemo {
  readonly value: Readonly<Record<string, unknown>>;
  readonly ageMs: number;
}

/** What an attempt knows whose command lives on the host under its token. */
export interface DetachedContext {
  /** Rises with each claim of the attempt. */
  readonly fence: number;
  /** 0: the command was not sent before. Else since it was. */
  readonly elapsedMs: number;
  /** Made once and kept while this worker looks after the command: what was read of its output. */
  readonly memory: DetachedMemory;
  /** Repeating the effect does no harm. */
  readonly isRepeatable: boolean;
  /** The run was cancelled; else a signal that is aborted means that somebody else looks after the command from now on. */
  readonly isCancelled: () => boolean;
  /** Called once the end stands in the journal. */
  readonly afterEnd: (clear: () => Promise<void>) => void;
}

export interface DetachedMemory {
  /** Bytes of each stream that were taken. */
  readonly consumed: Record<'stdout' | 'stderr', number>;
  /** What the action keeps beside the log. */
  kept: unknown;
}

/** Thrown by an action whose command runs on: it is asked again after the delay, by whoever then claims the target. */
export class StillRunning extends Error {
  constructor(readonly delayMs: number) {
    super('the command runs on');
    this.name = 'StillRunning';
  }
}

export interface GatheredFacts {
  /** Top-level facts by name. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly identifiers: readonly { readonly kind: string; readonly value: string }[];
}

export interface ControlContext {
  readonly token: string;
  /** The effect's token of the first attempt: the same for all of them, where a repeat is to be recognised. */
  readonly stepToken: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly secret: OpenSecret;
  readonly redactor: () => Redactor;
  readonly testedSets: TestedSets;
  /** Null: no run asks. */
  readonly countAssets: CountAssets | null;
}

/** How an action ended that ran to its end; anything else is thrown as a typed error. */
export interface ActionEnd<Output> {
  readonly state: 'succeeded' | 'failed';
  readonly exitCode: number | null;
  readonly error: { readonly code: string; readonly message: string; readonly remedy?: string | undefined } | null;
  readonly output: Output | null;
}

type Input<Contract extends ActionContract> = z.output<Contract['input']>;
type Output<Contract extends ActionContract> = z.output<Contract['output']>;

export interface TargetAction {
  readonly scope: 'target';
  readonly contract: ActionContract;
  execute(input: unknown, context: TargetContext): Promise<ActionEnd<unknown>>;
  /** Reads, and changes nothing; null: for this input there is no probe. */
  probe(input: unknown, context: ProbeContext): Promise<Probed<unknown> | null>;
}

/** A probe acts where its step does. What it reads on the target is no output of the step. */
export type ProbeContext = Pick<
  TargetContext,
  'asset' | 'endpoint' | 'credential' | 'ssh' | 'timeoutMs' | 'signal' | 'secret' | 'redactor'
> & {
  /** Whether somebody will read a diff: else none is made. */
  readonly wantsDiff: boolean;
  /** Token of an attempt that may be at work still: a probe that finds its processes cannot tell. Null: there is none. */
  readonly lostToken: string | null;
  readonly patches: PatchLookup;
};

/** What a probe found out, with what later steps may read where the effect is there. */
export interface Probed<Output> extends ProbeAnswer {
  /** Of an attempt that was lost and whose effect is there; null: it is lost with it. */
  readonly output: Output | null;
}

export interface ControlAction {
  readonly scope: 'control';
  readonly contract: ActionContract;
  execute(input: unknown, context: ControlContext): Promise<ActionEnd<unknown>>;
}

/** What an implementation is given: its input, where it acts, and what `plan` shows of it, which it is to do. */
type Execute<Contract extends ActionContract, Context> = (
  input: Input<Contract>,
  context: Context,
  rendered: Rendered,
) => Promise<ActionEnd<Output<Contract>>>;

type Probe<Contract extends ActionContract> = (
  input: Input<Contract>,
  context: ProbeContext,
  look: ProbeLook,
  rendered: Rendered,
) => Promise<Probed<Output<Contract>>>;

/** A contract that says what is looked at needs an implementation that looks, and another may have none. */
type ProbeOf<Contract extends ActionContract> = Contract['probe'] extends null ? [] : [probe: Probe<Contract>];

/** Binds an implementation to its contract; one that does not match does not compile. */
export function targetAction<Contract extends ActionContract>(
  contract: Contract,
  execute: Execute<Contract, TargetContext>,
  ...[probe]: ProbeOf<Contract>
): TargetAction {
  return {
    probe: async (input, context) => {
      const look = contract.probe?.(input) ?? null;
      if (look === null || probe === undefined) return null;
      const { id: assetId, name } = context.asset;
      const secret = declaredSecrets(contract, input, context.secret);
      const rendered = contract.render(input, { assetId, name });
      return probe(input as Input<Contract>, { ...context, secret }, look, rendered);
    },
    scope: 'target',
    contract,
    execute: async (input, context) => {
      const { id: assetId, name } = context.asset;
      const secret = declaredSecrets(contract, input, context.secret);
      const identity = declaredSecrets(contract, input, context.identity);
      const own = { ...context, secret, identity };
      return execute(input as Input<Contract>, own, contract.render(input, { assetId, name }));
    },
  };
}

export function controlAction<Contract extends ActionContract>(
  contract: Contract,
  execute: Execute<Contract, ControlContext>,
): ControlAction {
  return {
    scope: 'control',
    contract,
    execute: async (input, context) => {
      const secret = declaredSecrets(contract, input, context.secret);
      return execute(
        input as Input<Contract>,
        { ...context, secret },
        contract.render(input, { assetId: '', name: '' }),
      );
    },
  };
}

/** Opens only what the contract says that the input names: no implementation reaches a credential that a reader does not see. */
function declaredSecrets<More extends unknown[], Opened>(
  { name: action, secretInputs }: ActionContract,
  input: unknown,
  open: (name: string, ...more: More) => Promise<Opened>,
): (name: string, ...more: More) => Promise<Opened> {
  const declared = new Set(secretInputs.flatMap((path) => valuesAt(input, path.split('.'))));
  return async (name, ...more) => {
    if (declared.has(name)) return open(name, ...more);
    throw new FettleError({
      code: 'undeclared-secret',
      message: `The action ${action} asked for the credential "${name}", which none of its declared inputs names.`,
      detail: { mayHaveStarted: false },
    });
  };
}

/** The values at a path; `*` is every member. */
function valuesAt(value: unknown, path: readonly string[]): readonly unknown[] {
  const [name, ...rest] = path;
  if (name === undefined) return [value];
  if (typeof value !== 'object' || value === null) return [];
  if (name === '*') return Object.values(value).flatMap((member: unknown) => valuesAt(member, rest));
  return Object.hasOwn(value, name) ? valuesAt((value as Readonly<Record<string, unknown>>)[name], rest) : [];
}

/** The credentials that an input names, as far as it is known: an expression is none. */
export function namedCredentials({ secretInputs }: Pick<ActionContract, 'secretInputs'>, input: unknown): string[] {
  return secretInputs
    .flatMap((path) => valuesAt(input, path.split('.')))
    .filter((name): name is string => typeof name === 'string' && !name.includes('${{'));
}

/** The driver's form of whom a step becomes: the user that `plan` shows, with the password that the input names. */
export async function driverBecome(
  user: string | undefined,
  become: BecomeInput | undefined,
  secret: OpenSecret,
): Promise<Become | undefined> {
  if (user === undefined) return undefined;
  const credential = typeof become === 'object' ? become.credential : undefined;
  return { user, password: credential === undefined ? undefined : await secret(credential) };
}

/** The driver's form of an asset's endpoint. */
export function driverEndpoint(endpoint: Endpoint, username: string, jump?: SshJump): SshEndpoint {
  const { address: host, port, hostKeys } = endpoint;
  return { host, port, user: username, hostKeys, ...(jump === undefined ? {} : { jump }) };
}
