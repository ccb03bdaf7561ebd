import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { durationMs, FettleError } from '@fettle/contracts';
import { detectProvider, lastWords, type Become, type HostCommands } from '@fettle/drivers';
import type { z } from 'zod';
import { hostReboot } from '../contracts.js';
import { driverBecome, StillRunning, targetAction, type ActionEnd, type TargetContext } from '../implementation.js';
import { hostCommands } from '../patch/host-commands.js';
import {
  beforeRebootSchema,
  isAway,
  isStarting,
  readBootId,
  readFailedUnits,
  readKernel,
  type BeforeReboot,
} from './reboot-state.js';
import { REBOOT_BUSY, rebootCommands } from './reboot.contract.js';

type RebootInput = z.output<typeof hostReboot.input>;
type RebootEnd = ActionEnd<z.output<typeof hostReboot.output>>;

const LOOK_MS = 5_000;
/** One look; a host that is on its way down may answer nothing. */
const LOOK_TIMEOUT_MS = 20_000;
/** A request that nothing came of is made again; it names the boot that it ends, so a second one does nothing. */
const ASK_AGAIN_MS = 120_000;

const failed = (code: string, message: string, remedy: string): RebootEnd => ({
  state: 'failed',
  exitCode: null,
  error: { code, message, remedy },
  output: null,
});

export const rebootHost = targetAction(hostReboot, async (input, context, { becomeUser }) => {
  const become = await driverBecome(becomeUser, input.become, context.secret);
  const beganAtMs = performance.now();
  for (;;) {
    try {
      return await look(input, context, become, context.detached?.elapsedMs ?? performance.now() - beganAtMs);
    } catch (error) {
      // Where nobody comes back to it (it is a rollback), it is waited for here.
      if (!(error instanceof StillRunning) || context.detached !== null) throw error;
      await sleep(error.delayMs, undefined, { signal: context.signal });
    }
  }
});

async function look(
  input: RebootInput,
  context: TargetContext,
  become: Become | undefined,
  elapsedMs: number,
): Promise<RebootEnd> {
  const memo = await context.memo.recall();
  if (memo === null) return begin(input, context, hostCommands(context, become), elapsedMs);
  if (context.detached?.isCancelled() === true) throw cancelledLate(context.asset.name);
  return follow(input, context, become, beforeRebootSchema.parse(memo.value), memo.ageMs);
}

/** What fails before the host is asked has changed nothing, whatever became of its connection. */
async function begin(
  input: RebootInput,
  context: TargetContext,
  commands: HostCommands,
  elapsedMs: number,
): Promise<RebootEnd> {
  let prepared;
  try {
    prepared = await prepare(input, context, commands, elapsedMs);
  } catch (error) {
    if (error instanceof StillRunning) throw error;
    const { code, message, remedy, detail } =
      error instanceof FettleError
        ? error
        : { code: 'internal-error', message: String(error), remedy: undefined, detail: undefined };
    throw new FettleError({ code, message, remedy, detail: { ...detail, mayHaveStarted: false }, cause: error });
  }
  if ('state' in prepared) return prepared;
  context.note(`Boot ${prepared.bootId}, kernel ${prepared.kernel}; it is asked to reboot.\n`);
  await ask(commands, prepared, context);
  throw new StillRunning(LOOK_MS);
}

/** Nothing has happened yet: either it is refused, or how the host is stands in the database before it is asked to reboot. */
async function prepare(
  input: RebootInput,
  context: TargetContext,
  commands: HostCommands,
  elapsedMs: number,
): Promise<RebootEnd | BeforeReboot> {
  const { name } = context.asset;
  const provider = await detectProvider(commands);
  const { holders, isInterrupted } = await provider.activity(commands);
  if (holders.length > 0) {
    if (elapsedMs < durationMs(input.lockWait)) throw new StillRunning(LOOK_MS);
    const message = `${name}: "${holders.join('", "')}" is changing packages; it was not rebooted.`;
    return failed('package-manager-busy', message, 'Wait for it to end, or raise "lockWait".');
  }
  if (isInterrupted) {
    const message = `${name}: a change of packages was cut off there, and a reboot may not come up; it was not rebooted.`;
    return failed(
      'package-manager-interrupted',
      message,
      'Run patch.install, which repairs it ("dpkg --configure -a", "dnf remove --duplicates").',
    );
  }
  const need = await provider.reboot(commands);
  if (input.when === 'required' && need.state === 'unknown') {
    const message = `${name}: whether a reboot is needed cannot be told (${need.reasons.join('; ')}); it was not rebooted.`;
    return failed(
      'reboot-need-unknown',
      message,
      'Install needrestart (dnf-plugins-core) there, or set "when: always".',
    );
  }
  const bootId = await readBootId(commands);
  if (bootId === null) {
    const message = `${name}: "${rebootCommands.bootId.join(' ')}" shows no id, so another boot could not be told from this one; it was not rebooted.`;
    return failed('boot-id-unreadable', message, 'Let the user read that file, or reboot it by hand.');
  }
  const kernel = await readKernel(commands);
  if (input.when === 'required' && need.state === 'not-needed') return left(bootId, kernel, context);
  const before = { bootId, kernel, failedUnits: await readFailedUnits(commands), reasons: [...need.reasons] };
  return beforeRebootSchema.parse((await context.memo.keep(before)).value);
}

function left(bootId: string, kernel: string, context: TargetContext): RebootEnd {
  context.output('stdout', Buffer.from('nothing asks for a reboot\n'));
  const same = { bootIdBefore: bootId, bootIdAfter: bootId, kernelBefore: kernel, kernelAfter: kernel };
  const output = { rebooted: false, reasons: [], ...same, kernel: 'newest' as const };
  return { state: 'succeeded', exitCode: 0, error: null, output: { ...output, newlyFailedUnits: [], cannotTell: [] } };
}

async function ask(commands: HostCommands, { bootId }: BeforeReboot, context: TargetContext): Promise<void> {
  let end;
  try {
    end = await commands.run([...rebootCommands.reboot, bootId]);
  } catch (error) {
    // The reboot may have ended the connection before its command did.
    if (isAway(error)) return;
    throw error;
  }
  if (end.exitCode === 0) return;
  if (end.exitCode === REBOOT_BUSY) {
    context.note('Somebody began to change packages meanwhile; it is asked again later.\n');
    return;
  }
  throw new FettleError({
    code: 'reboot-refused',
    message: `${context.asset.name}: "shutdown -r now" ended with exit code ${end.exitCode}: ${lastWords(end)}`,
    remedy: 'Run the command on the host and look at what it says.',
    detail: { mayHaveStarted: false },
  });
}

/** It was asked to reboot: looks once, and comes back later for as long as the step has time. */
async function follow(
  input: RebootInput,
  context: TargetContext,
  become: Become | undefined,
  before: BeforeReboot,
  sinceMs: number,
): Promise<RebootEnd> {
  const { name } = context.asset;
  const commands = hostCommands({ ...context, timeoutMs: LOOK_TIMEOUT_MS }, become);
  const isLate = sinceMs > context.timeoutMs;
  const seconds = Math.round(sinceMs / 1_000);
  try {
    const bootId = await readBootId(commands);
    if (bootId === null) throw uncertain(name);
    if (bootId === before.bootId) {
      if (isLate) {
        const message = `${name}: it is still in boot ${bootId}, ${seconds} s after it was asked to reboot.`;
        return failed('reboot-not-begun', message, 'Look at what keeps it (systemctl list-jobs), then decide by hand.');
      }
      if (sinceMs > ASK_AGAIN_MS && (await isIdle(commands))) await ask(commands, before, context);
    } else if (isLate || !(await isStarting(commands))) {
      return await verify(input, context, hostCommands(context, become), before, bootId);
    }
  } catch (error) {
    if (context.detached?.isCancelled() === true) throw cancelledLate(name);
    if (!isAway(error)) throw error;
    if (isLate) {
      const message = `${name}: it did not come back within ${seconds} s of being asked to reboot: ${error instanceof Error ? error.message : ''}`;
      return failed('reboot-not-back', message, 'Look at its console; it was last seen going down.');
    }
  }
  throw new StillRunning(LOOK_MS);
}

/** Whether a request may be made again: what began since is let to its end. A host on its way down may not be able to tell. */
async function isIdle(commands: HostCommands): Promise<boolean> {
  try {
    const provider = await detectProvider(commands);
    const { holders, isInterrupted } = await provider.activity(commands);
    return holders.length === 0 && !isInterrupted;
  } catch (error) {
    if (
      error instanceof FettleError &&
      (error.code === 'package-manager-failed' || error.code === 'no-package-manager')
    )
      return false;
    throw error;
  }
}

function uncertain(name: string): FettleError {
  return new FettleError({
    code: 'effect-uncertain',
    message: `${name}: it answers, and "${rebootCommands.bootId.join(' ')}" shows no id any more: whether it was rebooted cannot be told.`,
    remedy: 'Look at the host (uptime -s), then decide by hand.',
    detail: { mayHaveStarted: true },
  });
}

function cancelledLate(name: string): FettleError {
  return new FettleError({
    code: 'cancelled',
    message: `${name}: it had been asked to reboot when the run was cancelled, which cannot be called off.`,
    remedy: 'Look whether it comes back.',
    detail: { mayHaveStarted: true, confirmed: false },
  });
}

/** Back by another boot: what of it is as it should be. */
async function verify(
  input: RebootInput,
  context: TargetContext,
  commands: HostCommands,
  before: BeforeReboot,
  bootId: string,
): Promise<RebootEnd> {
  const { name } = context.asset;
  const provider = await detectProvider(commands);
  const kernelAfter = await readKernel(commands);
  const units = await readFailedUnits(commands);
  const need = await provider.reboot(commands);
  const newly = units?.filter((unit) => before.failedUnits?.includes(unit) !== true) ?? null;
  const cannotTell = [
    ...(units === null ? ['which units failed: no systemd answers'] : []),
    ...(need.state === 'unknown' ? [`whether it runs its newest kernel: ${need.reasons.join('; ')}`] : []),
  ];
  const lines = [
    `boot ${before.bootId} -> ${bootId}`,
    `kernel ${before.kernel} -> ${kernelAfter}`,
    ...(newly ?? []).map((unit) => `failed since: ${unit}`),
    ...cannotTell.map((what) => `cannot be told: ${what}`),
  ];
  context.output('stdout', Buffer.from(`${lines.join('\n')}\n`));
  if (need.state === 'needed') {
    const message = `${name}: it came back by another boot, with kernel ${kernelAfter}, and still asks for a reboot: ${need.reasons.join('; ')}.`;
    return failed('reboot-still-needed', message, 'Look at its boot loader: it may start an older kernel.');
  }
  if (newly !== null && newly.length > 0 && input.units === 'require') {
    const message = `${name}: it came back by another boot, and units failed that had not before: ${newly.slice(0, 20).join(', ')}.`;
    return failed('units-failed', message, `Look at them on the host: systemctl status ${newly[0] ?? ''}`);
  }
  const output = {
    rebooted: true,
    reasons: [...before.reasons],
    bootIdBefore: before.bootId,
    bootIdAfter: bootId,
    kernelBefore: before.kernel,
    kernelAfter,
    kernel: need.state === 'not-needed' ? ('newest' as const) : ('unknown' as const),
    newlyFailedUnits: newly,
    cannotTell,
  };
  return { state: 'succeeded', exitCode: 0, error: null, output };
}
