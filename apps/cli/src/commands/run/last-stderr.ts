import type { RunTarget } from '@fettle/contracts';

/** `stderr: no space left on device`: what the host said last in the attempt that failed; empty where the error says it already. */
export function lastStderrText(target: Pick<RunTarget, 'steps'> | undefined, message: string | null): string {
  const line = target?.steps.findLast(({ lastStderr }) => lastStderr !== undefined)?.lastStderr;
  return line === undefined || message?.includes(line) === true ? '' : `stderr: ${line}`;
}
