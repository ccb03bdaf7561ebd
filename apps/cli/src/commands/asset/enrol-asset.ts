import { enrolResultSchema, type EnrolRequest, type EnrolResult } from '@fettle/contracts';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

/** The API waits up to 20 s for the host. */
const ENROL_TIMEOUT_MS = 60_000;

interface EnrolOptions extends SpaceOptions {
  readonly expect?: string;
  readonly replace?: boolean;
  readonly reason?: string;
}

export async function enrolAsset(session: Session, name: string, options: EnrolOptions): Promise<number> {
  const { expect, reason, replace = false, space } = options;
  if (replace && reason === undefined)
    throw new UsageError('--replace needs --reason: why did the key of the host change?');
  const body: EnrolRequest = {
    replace,
    ...(expect === undefined ? {} : { expect }),
    ...(reason === undefined ? {} : { reason }),
  };
  const path = `/api/v1/assets/${encodeURIComponent(name)}/enrol`;
  const request = { body, query: { space }, timeoutMs: ENROL_TIMEOUT_MS };
  const result = await session.connect(options).post(path, enrolResultSchema, request);
  const { output } = session;
  output.data(options.output, result, () => shown(session, result));
  output.note(
    result.changed ? `The keys of ${result.asset} are pinned.` : `${result.asset} shows the keys that were pinned.`,
  );
  if (result.quarantineLifted) output.note('Its quarantine is lifted.');
  if (expect === undefined && result.changed)
    output.note('Compare them with the host (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub there).');
  return EXIT.ok;
}

/** What was pinned before is shown where it is not what is pinned now. */
function shown({ output }: Session, { changed, host, hostKeys, previousHostKeys }: EnrolResult): string {
  return output.fields([
    ['host', host],
    ...(changed ? previousHostKeys : []).map(({ type, fingerprint }) => ['was', `${type} ${fingerprint}`] as const),
    ...hostKeys.map(({ type, fingerprint }) => ['pinned', `${type} ${fingerprint}`] as const),
  ]);
}
