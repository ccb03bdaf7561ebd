import type { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { FettleError } from '@fettle/contracts';
import {
  releaseDetached,
  runDetached,
  stopDetached,
  type Become,
  type DetachedState,
  type ExecRequest,
  type RunOnHost,
} from '@fettle/drivers';
import { StillRunning, type DetachedContext, type TargetContext } from '../implementation.js';
import { KeptStreams } from './kept-streams.js';

/** A command that lasts longer is let go and looked at again: it holds no slot. */
export const FOLLOW_MS = 20_000;
const MIN_LOOK_MS = 2_000;
const MAX_LOOK_MS = 30_000;
/** A host that cannot be asked is waited for until so long after the time of the command; then nobody knows. */
export const HOST_PATIENCE_MS = 15 * 60_000;
const STOP_TIMEOUT_MS = 60_000;
const MAX_STOP_ATTEMPTS = 4;
const STOP_PAUSE_MS = 2_000;

export interface DetachedCommand {
  readonly argv: readonly string[];
  readonly stdin: Buffer | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  readonly become: Become | undefined;
  readonly timeoutMs: number;
}

export interface DetachedEnd {
  readonly exitCode: number;
  readonly kept: KeptStreams;
}

/** They say how the command ended, also where it was begun by somebody else; so does a key that changed. */
const finalCodes = new Set(['host-key-mismatch', 'stale-request', 'become-failed', 'working-directory-unavailable']);
/** After these a command that was sent may run on. */
const lossCodes = new Set(['connection-lost', 'command-timeout']);

/**
 * Begins the command on its host under the token, or finds it there, and stays with it for a while. `attach`: the host cannot
 * detach, and this attempt alone may run the command over its connection.
 * @throws StillRunning where it is to be looked at later, or FettleError with how it ended
 */
export async function executeDetached(
  command: DetachedCommand,
  context: TargetContext,
  detached: DetachedContext,
): Promise<DetachedEnd | 'attach'> {
  const run: RunOnHost = (request: ExecRequest) => context.ssh.exec(context.endpoint, context.credential, request);
  const identity = { token: context.token, fence: detached.fence };
  const kept = (detached.memory.kept ??= new KeptStreams(context)) as KeptStreams;
  const follow = (signal: AbortSignal): Promise<DetachedState> =>
    runDetached(run, context.endpoint, {
      ...command,
      ...identity,
      env: { ...command.env, FETTLE_EFFECT_TOKEN: context.token },
      elapsedMs: detached.elapsedMs,
      consumed: { ...detached.memory.consumed },
      followMs: Math.max(0, FOLLOW_MS - detached.elapsedMs),
      signal,
      onOutput: (stream, chunk) => {
        detached.memory.consumed[stream] += chunk.length;
        kept[stream].add(chunk);
        context.output(stream, chunk);
      },
    });
  const clear = (): Promise<void> =>
    releaseDetached(run, context.endpoint, identity, AbortSignal.timeout(STOP_TIMEOUT_MS));
  let state: DetachedState;
  try {
    state = await follow(context.signal);
  } catch (error) {
    if (!context.signal.aborted || isUnsent(error, detached)) throw waiting(error, command, context, detached);
    if (!detached.isCancelled()) throw error;
    if ((await stop(run, command, context, identity)) !== 'ended') {
      detached.afterEnd(clear);
      throw cancelled(context, 'stopped', true);
    }
    // It had ended by itself: that is what is told.
    state = await follow(AbortSignal.timeout(STOP_TIMEOUT_MS));
  }
  return settle(state, command, context, detached, kept, clear);
}

function settle(
  state: DetachedState,
  command: DetachedCommand,
  context: TargetContext,
  detached: DetachedContext,
  kept: KeptStreams,
  clear: () => Promise<void>,
): DetachedEnd | 'attach' {
  switch (state.kind) {
    case 'attach':
      return 'attach';
    case 'running':
      throw new StillRunning(lookAgainMs(Math.max(state.ageMs, detached.elapsedMs)));
    case 'void':
      throw cancelled(context, 'kept from beginning', false);
    case 'lost':
      // On a host that cannot detach, a command that does no harm is made again, as it always was.
      if (state.reason === 'attached' && detached.isRepeatable) return 'attach';
      throw lost(context, state.reason);
    case 'ended':
      detached.afterEnd(clear);
      if (state.droppedBytes > 0)
        context.note(
          `... ${state.droppedBytes} bytes of output were not kept on the host (limit 1.5 MiB a stream) ...\n`,
        );
      if (state.isTimeout) throw timedOut(command, context);
      return { exitCode: state.exitCode, kept };
  }
}

/** Backs off with the age of the command, so that its end is seen within a tenth of the time it took. */
function lookAgainMs(ageMs: number): number {
  return Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, ageMs / 10));
}

/** What a failure to reach the host means for a command that may run there. */
function waiting(error: unknown, command: DetachedCommand, context: TargetContext, detached: DetachedContext): unknown {
  if (!(error instanceof FettleError) || finalCodes.has(error.code)) return error;
  const isFirst = detached.elapsedMs === 0;
  const mayRun = error.detail?.['mayHaveStarted'] !== false;
  if (isFirst && !(mayRun && lossCodes.has(error.code))) return error;
  if (detached.elapsedMs < command.timeoutMs + HOST_PATIENCE_MS) {
    if (isFirst)
      context.note(`The connection was lost; the command runs on, and is looked for again (${error.code}).\n`);
    return new StillRunning(lookAgainMs(detached.elapsedMs));
  }
  return uncertain(
    context,
    `${context.asset.name} could not be asked for ${HOST_PATIENCE_MS / 60_000} minutes after the time of the command (last: ${error.message})`,
    error,
  );
}

/** Cancelled before anything was sent for the first time: nobody has to be stopped. */
function isUnsent(error: unknown, { elapsedMs }: DetachedContext): boolean {
  return elapsedMs === 0 && error instanceof FettleError && error.detail?.['mayHaveStarted'] === false;
}

async function stop(
  run: RunOnHost,
  { become }: DetachedCommand,
  context: TargetContext,
  identity: { readonly token: string; readonly fence: number },
): Promise<'stopped' | 'ended'> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const signal = AbortSignal.timeout(STOP_TIMEOUT_MS);
      const how = await stopDetached(run, context.endpoint, { ...identity, become, signal });
      if (how === 'never-began') throw cancelled(context, 'kept from beginning', false);
      if (how === 'left') throw unconfirmed(context, 'its processes did not end');
      return how;
    } catch (error) {
      if (!(error instanceof FettleError) || error.code === 'cancelled') throw error;
      if (error.code === 'stale-request') throw error;
      if (attempt >= MAX_STOP_ATTEMPTS) throw unconfirmed(context, error.message, error);
      await sleep(STOP_PAUSE_MS * attempt);
    }
  }
}

function cancelled(context: TargetContext, how: string, mayHaveStarted: boolean): FettleError {
  const message = `The command was ${how} on ${context.asset.name}, because the run was cancelled.`;
  return new FettleError({ code: 'cancelled', message, detail: { mayHaveStarted, confirmed: true } });
}

function unconfirmed(context: TargetContext, why: string, cause?: unknown): FettleError {
  return new FettleError({
    code: 'cancelled',
    message: `The command on ${context.asset.name} was to be stopped, but that could not be confirmed: ${why}`,
    remedy: 'Look at the host: the command may still run there.',
    detail: { mayHaveStarted: true, confirmed: false },
    cause,
  });
}

function timedOut({ timeoutMs }: DetachedCommand, context: TargetContext): FettleError {
  return new FettleError({
    code: 'command-timeout',
    message: `The command did not end within ${timeoutMs} ms on ${context.asset.name} and was ended by the host.`,
    remedy: 'Raise the timeout of the step.',
    detail: { mayHaveStarted: true, confirmed: true },
  });
}

const lossReasons = {
  restarted: 'the host was restarted while it ran',
  gone: 'its processes are gone and left no exit code (somebody or the kernel killed them all)',
  vanished: 'its folder on the host is gone, and whether it had begun cannot be told',
  attached: 'the host cannot detach commands, and its connection was lost',
} as const;

function lost(context: TargetContext, reason: keyof typeof lossReasons): FettleError {
  return uncertain(context, lossReasons[reason]);
}

function uncertain(context: TargetContext, why: string, cause?: unknown): FettleError {
  return new FettleError({
    code: 'effect-uncertain',
    message: `How the command on ${context.asset.name} ended is not known: ${why}.`,
    remedy: 'Look at the host, then decide by hand.',
    detail: { mayHaveStarted: true },
    cause,
  });
}
