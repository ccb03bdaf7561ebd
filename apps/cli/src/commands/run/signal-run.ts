import { FettleError, runSummarySchema } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import { readStdin } from '../../session/read-input.js';
import type { ApiOptions, Session } from '../../session/session.js';

interface SignalOptions extends ApiOptions {
  readonly payload?: string;
}

export async function signalRun(
  session: Session,
  idText: string,
  name: string,
  options: SignalOptions,
): Promise<number> {
  const id = requireRunId(idText);
  const payload = options.payload === undefined ? {} : payloadOf(await textOf(session, options.payload));
  const path = `/api/v1/runs/${id}/signals/${encodeURIComponent(name)}`;
  const run = await session.connect(options).post(path, runSummarySchema, { body: { payload } });
  session.output.data(options.output, run, () => `${run.id}\n`);
  session.output.note(`The signal was sent; see: fettle run show ${id}`);
  return EXIT.ok;
}

function textOf(session: Session, payload: string): Promise<string> | string {
  return payload === '-' ? readStdin(session.host) : payload;
}

function payloadOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FettleError({
      code: 'invalid-request',
      message: `--payload is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      remedy: `Give an object, such as --payload '{"size": 3}'.`,
    });
  }
}
