import type { TargetAsset } from '@fettle/database';
import type { ProbeContext, Probed } from '../implementation.js';
import { patchLookup } from '../patch/ledger.js';
import type { Preparation } from './execute-attempt.js';
import { storedError } from './judge-error.js';
import type { AttemptSecrets } from './secrets.js';
import type { WorkerServices } from './services.js';
import { targetConnection } from './target-connection.js';

/** One look may take so long, connecting included; a probe says little and is to be quick. */
export const PROBE_TIMEOUT_MS = 20_000;

export interface ProbeSubject {
  readonly asset: TargetAsset;
  readonly prepared: Extract<Preparation, { kind: 'execute' }>;
  /** Effect token of the attempt. */
  readonly token: string;
  readonly declaredSecrets: readonly string[];
}

/** What became of an effect that may have happened. */
export type Found =
  | { readonly kind: 'happened'; readonly summary: string; readonly output: unknown }
  | { readonly kind: 'absent'; readonly summary: string };

/** Asks the action's probe, where it has one for this input. Its texts and output are masked. */
export async function askProbe(
  services: WorkerServices,
  { asset, prepared, declaredSecrets }: Omit<ProbeSubject, 'token'>,
  secrets: AttemptSecrets,
  options: Pick<ProbeContext, 'signal' | 'wantsDiff' | 'lostToken'>,
): Promise<Probed<unknown> | null> {
  // Asked first: without one, no host is spoken to.
  if ((prepared.action.contract.probe?.(prepared.input) ?? null) === null) return null;
  await secrets.declare(declaredSecrets);
  const answer = await prepared.action.probe(prepared.input, {
    ...(await targetConnection(asset, prepared.endpoint, secrets)),
    ...options,
    ssh: services.ssh,
    patches: patchLookup(services, asset.space, asset.id),
    timeoutMs: Math.min(prepared.timeoutMs, PROBE_TIMEOUT_MS),
    secret: (name, kinds = ['password']) => secrets.value(name, kinds),
    redactor: () => secrets.redactions.redactor(),
  });
  if (answer === null) return null;
  const { state, summary, diff, output } = answer;
  return {
    state,
    summary: secrets.mask(summary),
    diff: diff === null ? null : secrets.mask(diff),
    output: secrets.redactions.redactJson(output),
  };
}

/** Whether the effect of an attempt that was lost has happened; null: nobody can tell. Never throws. */
export async function probeLost(
  services: WorkerServices,
  subject: ProbeSubject,
  secrets: AttemptSecrets,
  signal: AbortSignal,
): Promise<Found | null> {
  try {
    const lostToken = subject.token;
    const found = await askProbe(services, subject, secrets, { signal, wantsDiff: false, lostToken });
    if (found === null || found.state === 'unclear') return null;
    const { summary, output } = found;
    return found.state === 'present' ? { kind: 'happened', summary, output } : { kind: 'absent', summary };
  } catch (error) {
    // A host that cannot be asked leaves it as it was: uncertain.
    const { code, message } = storedError(error, secrets.mask);
    services.logger.warn({ code, reason: message, asset: subject.asset.name }, 'a probe gave no answer');
    return null;
  }
}
