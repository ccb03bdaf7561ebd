import { runSummarySchema } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { followToEnd } from './follow-to-end.js';
import { readRun } from './read-run.js';

interface CancelOptions extends ApiOptions {
  readonly reason?: string;
  readonly follow?: boolean;
}

export async function cancelRun(session: Session, idText: string, options: CancelOptions): Promise<number> {
  const id = requireRunId(idText);
  const client = session.connect(options);
  const body = options.reason === undefined ? {} : { reason: options.reason };
  const run = await client.post(`/api/v1/runs/${id}/cancel`, runSummarySchema, { body });
  if (options.follow === true) {
    const ended = await followToEnd(session, client, await readRun(client, id), { format: options.output });
    return ended.state === 'cancelled' ? EXIT.ok : ended.exitCode;
  }
  session.output.data(options.output, run, () => `${run.id}\n`);
  session.output.note(`The run is being cancelled; see: fettle run show ${id}`);
  return EXIT.ok;
}
