import { FettleError, walkSteps, type RunbookSpec } from '@fettle/contracts';
import { isOnTargets } from './rollback-of.js';
import { targetSelector } from './select-targets.js';

/** The targets that a run is asked for; null: its steps act on none. @throws FettleError `invalid-request` */
export function selectorOf(request: {
  readonly runbook: string;
  readonly spec: RunbookSpec;
  readonly on?: string | undefined;
}): ReturnType<typeof targetSelector> | null {
  const { steps, handlers = {} } = request.spec;
  const needsTargets = [steps, ...Object.values(handlers)].some((list) => [...walkSteps(list)].some(isOnTargets));
  if (request.spec.targets !== undefined && needsTargets) return targetSelector(request.spec.targets, request.on);
  if (request.on === undefined) return null;
  throw new FettleError({
    code: 'invalid-request',
    message: `Runbook "${request.runbook}" has no targets, so there is nothing that --on could narrow.`,
    remedy: 'Leave --on out.',
  });
}
