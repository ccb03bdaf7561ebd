import type { ActionContract, Endpoint } from '@fettle/contracts';
import type { Become, SshCredential, SshEndpoint, SshPool } from '@fettle/drivers';
import type { Redactor } from '@fettle/security';
import type { z } from 'zod';

/** Where an action on a target acts, and with what. */
export interface TargetContext {
  readonly asset: { readonly id: string; readonly name: string; readonly space: string };
  readonly endpoint: SshEndpoint;
  readonly credential: SshCredential;
  readonly ssh: SshPool;
  /** Effect token: HMAC of run, step, target, phase and generation. */
  readonly token: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Takes output for the step's log; never fails, keeps to the log's limits. */
  readonly output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
  /** The value of a credential by name. */
  readonly secret: (name: string) => Promise<string>;
  /** Masks what was opened so far in a stream of bytes: for output that is cut before it is given back. */
  readonly redactor: () => Redactor;
  readonly saveFacts: (facts: GatheredFacts) => Promise<void>;
}

export interface GatheredFacts {
  /** Top-level facts by name. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly identifiers: readonly { readonly kind: string; readonly value: string }[];
}

export interface ControlContext {
  readonly token: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly secret: (name: string) => Promise<string>;
  readonly redactor: () => Redactor;
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
}

export interface ControlAction {
  readonly scope: 'control';
  readonly contract: ActionContract;
  execute(input: unknown, context: ControlContext): Promise<ActionEnd<unknown>>;
}

/** Binds an implementation to its contract; one that does not match does not compile. */
export function targetAction<Contract extends ActionContract>(
  contract: Contract,
  execute: (input: Input<Contract>, context: TargetContext) => Promise<ActionEnd<Output<Contract>>>,
): TargetAction {
  return {
    scope: 'target',
    contract,
    execute: (input, context) => execute(input as Input<Contract>, context),
  };
}

export function controlAction<Contract extends ActionContract>(
  contract: Contract,
  execute: (input: Input<Contract>, context: ControlContext) => Promise<ActionEnd<Output<Contract>>>,
): ControlAction {
  return {
    scope: 'control',
    contract,
    execute: (input, context) => execute(input as Input<Contract>, context),
  };
}

/** The driver's form of a step's `become`. */
export async function driverBecome(
  become: boolean | { readonly user: string; readonly credential?: string | undefined } | undefined,
  secret: (name: string) => Promise<string>,
): Promise<Become | undefined> {
  if (!become) return undefined;
  if (become === true) return { user: 'root' };
  return { user: become.user, password: become.credential === undefined ? undefined : await secret(become.credential) };
}

/** The driver's form of an asset's endpoint. */
export function driverEndpoint(endpoint: Endpoint, username: string): SshEndpoint {
  return { host: endpoint.address, port: endpoint.port, user: username, hostKeys: endpoint.hostKeys };
}
