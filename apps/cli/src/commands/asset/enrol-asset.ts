import { enrolResultSchema } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

/** The API waits up to 20 s for the host. */
const ENROL_TIMEOUT_MS = 60_000;

export async function enrolAsset(
  session: Session,
  name: string,
  options: SpaceOptions & { readonly expect?: string },
): Promise<number> {
  const result = await session
    .connect(options)
    .post(`/api/v1/assets/${encodeURIComponent(name)}/enrol`, enrolResultSchema, {
      body: options.expect === undefined ? {} : { expect: options.expect },
      query: { space: options.space },
      timeoutMs: ENROL_TIMEOUT_MS,
    });
  const { output } = session;
  output.data(options.output, result, () =>
    output.fields(result.hostKeys.map(({ type, fingerprint }) => [type, fingerprint] as const)),
  );
  output.note(
    result.changed ? `The keys of ${result.asset} are pinned.` : `${result.asset} shows the keys that were pinned.`,
  );
  if (options.expect === undefined && result.changed)
    output.note('Compare them with the host (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub there).');
  return EXIT.ok;
}
