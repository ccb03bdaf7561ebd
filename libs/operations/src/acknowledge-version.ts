import { FettleError } from '@fettle/contracts';
import type { ContinuableRun } from '@fettle/database';
import { digestToAcknowledge, type EditedCall } from './edited-calls.js';
import type { EditedVersion } from './edited-version.js';

/** What a person has to look at before a run goes on with other versions than it had. */
interface OtherVersions {
  readonly version: string;
  readonly document: unknown;
  readonly edited: EditedVersion;
  /** Of the runbooks that it calls. */
  readonly called: readonly EditedCall[];
  readonly acknowledge: string | undefined;
}

/** Runbooks, and lines of a difference, that an error tells. */
const MAX_TOLD = 500;

/** @throws FettleError `version-changed`, with what there is to acknowledge, unless it was acknowledged */
export function requireAcknowledged(run: ContinuableRun, given: OtherVersions): void {
  const { version, document, acknowledge, edited, called } = given;
  const digest = digestToAcknowledge(version, called);
  if (acknowledge === digest) return;
  const done = [...new Set(edited.known)];
  const names = called.map(({ runbook }) => `"${runbook}"`).join(', ');
  const other = version === run.version ? [] : [`${version} is another one`];
  const others = called.length === 0 ? [] : [`of ${names}, which it calls, there are other versions`];
  throw new FettleError({
    code: 'version-changed',
    message: `Run ${run.id} has version ${run.version} of runbook "${run.runbook}"; ${[...other, ...others].join(', and ')}.`,
    remedy: `Look at the difference, then acknowledge it: fettle run resume ${run.id} --runbook-version ${version} --acknowledge ${digest}`,
    detail: {
      from: run.version,
      to: version,
      acknowledge: digest,
      diff: edited.diff(document).slice(0, MAX_TOLD),
      known: done.filter(edited.fits).length,
      changedDone: done.filter((path) => edited.fits(path) && edited.isChanged(path)),
      gone: done.filter((path) => !edited.fits(path)),
      called: called.slice(0, MAX_TOLD).map((one) => ({ ...one, diff: one.diff.slice(0, MAX_TOLD) })),
    },
  });
}
