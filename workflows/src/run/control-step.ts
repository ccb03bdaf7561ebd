import type { ControlStepReport } from '@fettle/activities';
import { retryDelayMs, type EngineEvent } from '@fettle/runbook';
import { sleep } from '@temporalio/workflow';
import { remote } from './activities.js';
import type { CommandOf, OpenWork, Work } from './work.js';

/** The run whose step it is. */
export interface StepOwner extends Pick<Work, 'runId' | 'noticeCancel'> {
  readonly claimed: Pick<Work['claimed'], 'space'>;
  /** It has ended, and what it did is undone by the run that called it; absent: it goes on. */
  readonly hasEnded?: true | undefined;
}

/** Chained instead of awaited: whatever a run does for each of its steps should make few promises, since the SDK looks at each one. */
export function runControl(
  run: StepOwner,
  command: CommandOf<'run-control'>,
  work: Pick<OpenWork, 'isCancelling'>,
  tried = 1,
): Promise<EngineEvent> {
  const { path, uses, input, outputs, timeoutMs, retry, generation, condition: until, shielded, phase } = command;
  const attempt = generation + tried - 1;
  const { runId, claimed, hasEnded } = run;
  const attempted = remote.runControlStep({
    ...{ runId, space: claimed.space, path, uses, input, outputs, timeoutMs, attempt },
    ...(until === undefined ? {} : { condition: until }),
    ...(shielded === true ? { shielded } : {}),
    ...(phase === undefined ? {} : { phase }),
    ...(hasEnded === undefined ? {} : { afterEnd: hasEnded }),
  });
  return attempted.then((report) => {
    const mayRetry = report.state === 'failed' && report.error?.effectDone !== true;
    const delayMs = mayRetry ? retryDelayMs(retry, tried) : null;
    if (delayMs !== null) return sleep(delayMs).then(() => runControl(run, command, work, tried + 1));
    if (report.state === 'cancelled' && !work.isCancelling) run.noticeCancel();
    return controlEnded(path, report, attempt);
  });
}

function controlEnded(path: string, report: ControlStepReport, generation: number): EngineEvent {
  const { state, output, error, holds } = report;
  return {
    ...{ kind: 'ended', path, state, output, generation },
    ...(error === null ? {} : { error: { code: error.code, message: error.message } }),
    ...(holds === undefined ? {} : { holds }),
  };
}
