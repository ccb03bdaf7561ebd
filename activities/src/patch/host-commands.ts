import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { FettleError, packageEnvironment } from '@fettle/contracts';
import { shownCommand, type Become, type HostCommands } from '@fettle/drivers';
import type { TargetContext } from '../implementation.js';

/** Of one command; `apt-cache policy` of 800 packages says about half a megabyte. */
const MAX_OUTPUT_BYTES = 8_388_608;

type Place = Pick<TargetContext, 'asset' | 'endpoint' | 'credential' | 'ssh' | 'timeoutMs' | 'signal'>;

/** Short commands on the target, which share the time of the step. */
export function hostCommands(
  context: Place,
  become: Become | undefined,
  note: (text: string) => void = () => undefined,
  lockWaitMs = 0,
): HostCommands {
  const endsAtMs = performance.now() + context.timeoutMs;
  const { asset, signal } = context;
  const tooLong = (argv: readonly string[]): FettleError =>
    new FettleError({
      code: 'command-timeout',
      message: `${asset.name}: "${shownCommand(argv)}" did not end within the ${context.timeoutMs} ms of the step.`,
      remedy: 'Raise the timeout of the step.',
    });
  return {
    host: asset.name,
    note,
    lockWaitMs,
    sleep: async (ms) => {
      try {
        await sleep(ms, undefined, { signal });
      } catch (error) {
        if (!signal.aborted) throw error;
        const message = `${asset.name}: the run was cancelled while another program was waited for; nothing was begun.`;
        throw new FettleError({ code: 'cancelled', message, detail: { mayHaveStarted: false }, cause: error });
      }
    },
    run: async (argv) => {
      const timeoutMs = Math.ceil(endsAtMs - performance.now());
      if (timeoutMs <= 0) throw tooLong(argv);
      const chunks: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
      const end = await context.ssh.exec(context.endpoint, context.credential, {
        argv,
        env: packageEnvironment,
        become,
        timeoutMs,
        signal,
        maxOutputBytes: MAX_OUTPUT_BYTES,
        onOutput: (stream, chunk) => void chunks[stream].push(chunk),
      });
      const text = (stream: 'stdout' | 'stderr'): string =>
        new TextDecoder().decode(Buffer.concat(chunks[stream])).replaceAll('\0', '\uFFFD');
      if ('exitCode' in end && !end.truncated)
        return { exitCode: end.exitCode, stdout: text('stdout'), stderr: text('stderr') };
      const how = 'signal' in end ? `was ended by signal ${end.signal}` : `said more than ${MAX_OUTPUT_BYTES} bytes`;
      throw new FettleError({
        code: 'package-manager-failed',
        message: `${asset.name}: "${shownCommand(argv)}" ${how}.`,
        remedy: 'Run the command on the host and look at what it does.',
      });
    },
  };
}
