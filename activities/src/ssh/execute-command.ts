import { Buffer } from 'node:buffer';
import type { Rendered } from '@fettle/contracts';
import { MAX_KEPT_OUTPUT_BYTES, type BecomeInput } from '../contracts.js';
import { withSecretEnvironment } from '@fettle/drivers';
import type { Redactor } from '@fettle/security';
import { driverBecome, type ActionEnd, type TargetContext } from '../implementation.js';

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

/** Keeps the first bytes of a stream for later steps, masked before they are cut; the log has the rest. */
class KeptOutput {
  readonly #chunks: Buffer[] = [];
  readonly #redactor: Redactor;
  #bytes = 0;
  truncated = false;

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
  }

  add(chunk: Buffer): void {
    if (this.#bytes < MAX_KEPT_OUTPUT_BYTES) this.#keep(this.#redactor.write(chunk));
    else this.truncated = true;
  }

  #keep(masked: Buffer): void {
    const room = MAX_KEPT_OUTPUT_BYTES - this.#bytes;
    if (masked.length > room) this.truncated = true;
    this.#chunks.push(masked.subarray(0, room));
    this.#bytes += Math.min(room, masked.length);
  }

  /** Once the stream has ended. */
  text(): string {
    if (!this.truncated) this.#keep(this.#redactor.flush());
    const decoded = new TextDecoder().decode(Buffer.concat(this.#chunks));
    // Postgres text cannot hold NUL.
    return decoded.replaceAll('\0', '\uFFFD').replace(/\r?\n$/, '');
  }
}

/** Runs the command that `plan` shows and judges it by its exit code; shared by `ssh.run` and `ssh.script`. */
export async function executeCommand(
  input: CommandInput,
  rendered: Rendered,
  standardInput: Buffer | undefined,
  context: TargetContext,
): Promise<ActionEnd<CommandOutput>> {
  const become = await driverBecome(rendered.becomeUser, input.become, context.secret);
  const command = withSecretEnvironment(
    { argv: rendered.argv[0] ?? [], stdin: standardInput },
    await secretVariables(input, context),
  );
  const kept = { stdout: new KeptOutput(context.redactor()), stderr: new KeptOutput(context.redactor()) };
  const result = await context.ssh.exec(context.endpoint, context.credential, {
    ...command,
    env: input.environment,
    cwd: input.workingDirectory,
    become,
    timeoutMs: context.timeoutMs,
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
  const [stdout, stderr] = [kept.stdout.text(), kept.stderr.text()];
  const output: CommandOutput = {
    exitCode: result.exitCode,
    stdout,
    stderr,
    truncated: kept.stdout.truncated || kept.stderr.truncated,
  };
  if (input.successCodes.includes(result.exitCode)) {
    return { state: 'succeeded', exitCode: result.exitCode, error: null, output };
  }
  const message = `The command ended with exit code ${result.exitCode} on ${context.asset.name}.`;
  return { state: 'failed', exitCode: result.exitCode, error: { code: 'command-failed', message }, output };
}

/** Values by variable; opened before any output comes, so that all of it is masked. */
async function secretVariables(
  { secretEnvironment }: CommandInput,
  context: TargetContext,
): Promise<Readonly<Record<string, string>>> {
  const variables: [string, string][] = [];
  for (const [variable, name] of Object.entries(secretEnvironment ?? {})) {
    // A value read from a file often ends in a newline, which no program wants in a variable.
    const value = await context.secret(name, ['password', 'token']);
    variables.push([variable, value.replace(/\r?\n$/, '')]);
  }
  return Object.fromEntries(variables);
}
