import { requireRunId } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { followToEnd } from './follow-to-end.js';
import { readRun } from './read-run.js';

export async function followExistingRun(
  session: Session,
  idText: string,
  options: ApiOptions & { readonly logs?: boolean; readonly waitApproval?: number },
): Promise<number> {
  const id = requireRunId(idText);
  const client = session.connect(options);
  const run = await readRun(client, id);
  return (
    await followToEnd(session, client, run, {
      format: options.output,
      logs: options.logs,
      waitApprovalSeconds: options.waitApproval,
    })
  ).exitCode;
}
