import type { Buffer } from 'node:buffer';
import type { Rendered } from '@fettle/contracts';
import { withSecretEnvironment } from '@fettle/drivers';
import type { BecomeInput } from '../contracts.js';
import { driverBecome, type ActionEnd, type TargetContext } from '../implementation.js';
import { executeDetached } from './execute-detached.js';
import { KeptStreams } from './kept-streams.js';

/** What the input of every action has that runs a command. */
export interface CommandInput {
  readonly environment: Readonly<Record<string, string>>;
  readonly secretEnvironment?: Readonly<Record<string, string>> | undefined;
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
  const secrets = await secretVariables(input, context);
  const plain = { argv: rendered.argv[0] ?? [], stdin: standardInput };
  const command = {
    env: input.environment,
    cwd: input.workingDirectory,
    become,
    timeoutMs: context.timeoutMs,
  };
  if (context.detached !== null) {
    // Beside its input, which lies on the host for as long as the command runs.
    const env = { ...command.env, ...secrets };
    const found = await executeDetached({ ...plain, ...command, env }, context, context.detached);
    if (found !== 'attach') return commandEnd(input, context, found.exitCode, found.kept);
  }
  const kept = new KeptStreams(context);
  const result = await context.ssh.exec(context.endpoint, context.credential, {
    ...withSecretEnvironment(plain, secrets),
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

/** Values by variable; opened before any output comes, so that all of it is masked. */
export async function secretVariables(
  { secretEnvironment }: CommandInput,
  context: Pick<TargetContext, 'secret'>,
): Promise<Readonly<Record<string, string>>> {
  const variables: [string, string][] = [];
  for (const [variable, name] of Object.entries(secretEnvironment ?? {})) {
    // A value read from a file often ends in a newline, which no program wants in a variable.
    const value = await context.secret(name, ['password', 'token']);
    variables.push([variable, value.replace(/\r?\n$/, '')]);
  }
  return Object.fromEntries(variables);
}
