import type { ProbeLook } from '@fettle/contracts';
import { setTimeout as sleep } from 'node:timers/promises';
import { withSecretEnvironment } from '@fettle/drivers';
import { driverBecome, type ProbeContext, type Probed } from '../implementation.js';
import { secretVariables, type CommandInput, type CommandOutput } from './execute-command.js';

/** A command that was lost is given so long to end by itself before its effect is judged. */
const PATIENCE_MS = 30_000;
const LOOK_INTERVAL_MS = 1000;
const MAX_OUTPUT_BYTES = 64 * 1024;

const unclear = (summary: string): Probed<CommandOutput> => ({ state: 'unclear', summary, diff: null, output: null });

/**
 * Asks the step's own probe, as whom and where the step itself acts. What an attempt that was lost has done is judged only once
 * nothing of it is at work: a probe that comes too early would find nothing, and the effect would come after it.
 */
export async function probeCommand(
  input: CommandInput,
  becomeUser: string | undefined,
  { argv }: ProbeLook,
  context: ProbeContext,
): Promise<Probed<CommandOutput>> {
  if (argv === null) return unclear('the step has no probe');
  const become = await driverBecome(becomeUser, input.become, context.secret);
  if (context.lostToken !== null) {
    const left = await waitForEnd(context.lostToken, become, context);
    if (left !== 'none') {
      return unclear(
        left === 'some' ? 'the command is at work still' : 'whether the command is at work cannot be told',
      );
    }
  }
  const result = await context.ssh.exec(context.endpoint, context.credential, {
    ...withSecretEnvironment({ argv, stdin: undefined }, await secretVariables(input, context)),
    env: input.environment,
    cwd: input.workingDirectory,
    become,
    timeoutMs: context.timeoutMs,
    signal: context.signal,
    onOutput: () => undefined,
    maxOutputBytes: MAX_OUTPUT_BYTES,
  });
  if ('signal' in result) return unclear(`the probe was ended by signal ${result.signal}`);
  const answer = { diff: null, output: null };
  if (result.exitCode === 0)
    return { state: 'present', summary: 'the probe says that nothing is to be done', ...answer };
  if (result.exitCode === 1) return { state: 'absent', summary: 'the probe says that it is to be done', ...answer };
  return unclear(`the probe ended with exit code ${result.exitCode}`);
}

async function waitForEnd(
  token: string,
  become: Awaited<ReturnType<typeof driverBecome>>,
  { ssh, endpoint, credential, timeoutMs, signal }: ProbeContext,
): Promise<'none' | 'some' | 'unsure'> {
  const giveUpAtMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await ssh.findProcesses(endpoint, credential, { token, become, timeoutMs, signal });
    if (found !== 'some' || Date.now() >= giveUpAtMs) return found;
    await sleep(LOOK_INTERVAL_MS, undefined, { signal });
  }
}
