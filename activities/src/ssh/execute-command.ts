import type { Buffer } from 'node:buffer';
import type { Rendered } from '@fettle/contracts';
import type { BecomeInput } from '../contracts.js';
import { driverBecome, type ActionEnd, type TargetContext } from '../implementation.js';
import { executeDetached } from './execute-detached.js';
import { KeptStreams } from './kept-streams.js';

/** What the input of every action has that runs a command. */
export interface CommandInput {
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory?: string | undefined;
  readonly become?: BecomeInput | undefined;
  readonly successCodes: readonly number[];
}

export interface CommandOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

/** Runs the command that `plan` shows and judges it by its exit code; shared by `ssh.run` and `ssh.script`. */
export async function executeCommand(
  input: CommandInput,
  rendered: Rendered,
  standardInput: Buffer | undefined,
  context: TargetContext,
): Promise<ActionEnd<CommandOutput>> {
  const become = await driverBecome(rendered.becomeUser, input.become, context.secret);
  const command = {
    argv: rendered.argv[0] ?? [],
    stdin: standardInput,
    env: input.environment,
    cwd: input.workingDirectory,
    become,
    timeoutMs: context.timeoutMs,
  };
  if (context.detached !== null) {
    const found = await executeDetached(command, context, context.detached);
    if (found !== 'attach') return commandEnd(input, context, found.exitCode, found.kept);
  }
  const kept = new KeptStreams(context);
  const result = await context.ssh.exec(context.endpoint, context.credential, {
    ...command,
    signal: context.signal,
    token: context.token,
    onOutput: (stream, chunk) => {
      kept[stream].add(chunk);
      context.output(stream, chunk);
    },
  });
  if ('signal' in result) {
    const message = `The command was ended by signal ${result.signal} on ${context.asset.name}.`;
    return { state: 'failed', exitCode: null, error: { code: 'command-signalled', message }, output: null };
  }
  return commandEnd(input, context, result.exitCode, kept);
}

function commandEnd(
  input: CommandInput,
  context: TargetContext,
  exitCode: number,
  kept: KeptStreams,
): ActionEnd<CommandOutput> {
  const [stdout, stderr] = [kept.stdout.text(), kept.stderr.text()];
  const output: CommandOutput = { exitCode, stdout, stderr, truncated: kept.stdout.truncated || kept.stderr.truncated };
  if (input.successCodes.includes(exitCode)) return { state: 'succeeded', exitCode, error: null, output };
  const message = `The command ended with exit code ${exitCode} on ${context.asset.name}.`;
  return { state: 'failed', exitCode, error: { code: 'command-failed', message }, output };
}
