import {
  finishAttempts,
  lockRunForLane,
  notifyRun,
  parkAbandoned,
  readTargetAssets,
  releaseClaims,
  repeatableEffects,
  saveLockedRun,
  type AttemptEnd,
  type LaneClaim,
  type Orphan,
  type TargetAsset,
} from '@fettle/database';
import { withDatabasePatience } from './database-retry.js';
import { decideNext, tellLeft } from './decide-next.js';
import { prepareAttempt, succeeded, type AttemptSubject } from './execute-attempt.js';
import type { LaneInput } from './lane-input.js';
import type { KnownRun } from './load-run.js';
import { probeLost, type Found } from './probe-lost.js';
import { Secrets } from './secrets.js';
import type { WorkerServices } from './services.js';

/** Where the orphans stand, and until when their hosts are asked. */
export interface Recovery {
  readonly input: LaneInput;
  readonly cancelled: AbortSignal;
}

/**
 * Settles what a lost worker left claimed. A command that runs detached is looked for under its token. Of the others the action's
 * probe is asked, where it has one: what has happened is finished, and what has not is executed again, under the next generation.
 * Where no probe can tell, a step that reads or can be repeated is executed again under the same token; one that may have changed
 * something is `unknown`, and a person decides.
 */
export async function recoverOrphans(
  services: WorkerServices,
  run: KnownRun,
  claim: LaneClaim,
  orphans: readonly Orphan[],
  recovery: Recovery,
): Promise<void> {
  if (orphans.length === 0) return;
  const found = await probeOrphans(services, run, orphans, recovery);
  const ends: AttemptEnd[] = [];
  const repeatable: string[] = [];
  for (const orphan of orphans) {
    const probed = found.get(orphan.assetId);
    if (probed) ends.push(probed);
    else if (orphan.detached || repeatableEffects.has(orphan.effect)) repeatable.push(orphan.assetId);
    else ends.push(uncertainEnd(run, orphan, recovery.input));
  }
  await services.dataSource.transaction(async (transaction) => {
    const locked = await lockRunForLane(transaction, claim);
    await finishAttempts(transaction, locked, [{ claim, ends }], []);
    await releaseClaims(transaction, locked, claim, repeatable);
    await saveLockedRun(transaction, locked);
    await notifyRun(transaction, claim.runId);
  });
}

/** Lets go what other lanes of a run that ends hold detached: their workers are gone, and this lane is to stop the commands. */
export async function letGoAbandoned(services: WorkerServices, claim: LaneClaim): Promise<void> {
  await services.dataSource.transaction(async (transaction) => {
    await lockRunForLane(transaction, claim);
    await parkAbandoned(transaction, claim.runId);
  });
}

/** Ends of those whose effect a probe found, or found missing; at most a lane's slots, which are asked at once. */
async function probeOrphans(
  services: WorkerServices,
  run: KnownRun,
  orphans: readonly Orphan[],
  recovery: Recovery,
): Promise<ReadonlyMap<string, AttemptEnd>> {
  // What only reads, or was never dispatched, is simply done again.
  const lost = orphans.filter(({ detached, effect }) => !detached && effect !== 'none' && effect !== 'read-only');
  if (lost.length === 0 || recovery.cancelled.aborted) return new Map();
  const ids = lost.map((orphan) => orphan.assetId);
  const assets = await withDatabasePatience(() => readTargetAssets(services.dataSource.manager, ids, { facts: true }));
  const secrets = new Secrets(services, run.space);
  const ends = await Promise.all(
    lost.map((orphan) => probeOrphan(services, run, orphan, assets.get(orphan.assetId), secrets, recovery)),
  );
  return new Map(ends.filter((end) => end !== null).map((end) => [end.assetId, end]));
}

async function probeOrphan(
  services: WorkerServices,
  run: KnownRun,
  orphan: Orphan,
  asset: TargetAsset | undefined,
  secrets: Secrets,
  { input, cancelled }: Recovery,
): Promise<AttemptEnd | null> {
  const step = run.targetSteps[orphan.stepIndex];
  const compiled = run.compiledSteps[orphan.stepIndex];
  if (
    orphan.step === null ||
    orphan.token === null ||
    step === undefined ||
    compiled === undefined ||
    asset === undefined
  )
    return null;
  // What was begun is not decided anew, whatever has changed since.
  const target = { ...orphan, isParked: true };
  const around = { item: input.item ?? {}, known: input.outputs ?? {} };
  const subject: AttemptSubject = { run, target, step, path: orphan.step, ...around, compiled, asset };
  const prepared = prepareAttempt(subject);
  if (prepared.kind !== 'execute') return null;
  const request = { asset, prepared, token: orphan.token, declaredSecrets: run.declaredSecrets };
  const found = await probeLost(services, request, secrets.forAttempt(), cancelled);
  return found === null ? null : foundEnd(subject, orphan, found, input);
}

/** Null: it may simply be done again, under the same token. */
function foundEnd(subject: AttemptSubject, orphan: Orphan, found: Found, input: LaneInput): AttemptEnd | null {
  const { assetId, generation } = orphan;
  const base = { assetId, step: subject.path, stepId: subject.step.id, generation };
  if (found.kind === 'absent') {
    if (repeatableEffects.has(orphan.effect)) return null;
    const error = {
      code: 'effect-absent',
      message: `The worker was lost while step "${subject.path}" was in flight on ${orphan.assetName}; it did not happen: ${found.summary}.`,
    };
    return { ...base, state: 'failed', exitCode: null, error, output: null, next: { kind: 'retry', delayMs: 0 } };
  }
  const outcome = succeeded(subject, subject.asset!, { exitCode: null, output: found.output });
  const { lastStep, isLast = false, onlyFinally } = input;
  const code = subject.run.targetCodes[orphan.stepIndex]!;
  return { ...base, ...outcome, next: decideNext(orphan, code, outcome, { lastStep, isLast, onlyFinally }) };
}

function uncertainEnd({ targetCodes: codes }: KnownRun, orphan: Orphan, { prefix }: LaneInput): AttemptEnd {
  const code = codes[orphan.stepIndex]!;
  const step = orphan.step ?? code.path;
  return {
    assetId: orphan.assetId,
    step,
    generation: orphan.generation,
    state: 'unknown',
    exitCode: null,
    error: {
      code: 'effect-uncertain',
      message: `The worker was lost while step "${step}" was in flight on ${orphan.assetName}; it may or may not have happened.`,
      remedy: 'Look at the host, then decide by hand.',
    },
    output: null,
    next: tellLeft({ kind: 'end', state: 'unknown' }, { state: 'unknown' }, code, { codes, prefix }),
  };
}
