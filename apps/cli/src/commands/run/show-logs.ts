import { logChunkSchema, type RunLogChunk } from '@fettle/contracts';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { ApiClient } from '../../client/api-client.js';
import { followRun } from '../../client/run-events.js';
import { InterruptedError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { LogPrinter } from './log-printer.js';
import { readRun } from './read-run.js';

interface LogOptions extends ApiOptions {
  readonly asset?: string;
  readonly step?: string;
  readonly follow?: boolean;
}

const logPageSchema = z.object({ items: z.array(logChunkSchema), next: z.int().nullable() });

/**
 * Prints the output of a run's hosts. With `-o json` one array; with `--follow -o json` a JSON object a line, as they come.
 */
export async function showLogs(session: Session, idText: string, options: LogOptions): Promise<number> {
  const id = requireRunId(idText);
  const client = session.connect(options);
  // A one-off command has one step, whose name says nothing.
  const isOneOff = (await readRun(client, id)).runbook === 'exec';
  const printer = new LogPrinter(session.output, {
    bare: options.asset !== undefined,
    withStep: options.step === undefined && !isOneOff,
  });
  if (options.follow === true) return followLogs(session, client, id, printer, options);
  const { output } = session;
  if (options.output !== 'table') {
    const chunks: RunLogChunk[] = [];
    for await (const chunk of readLogs(client, id, options)) chunks.push(chunk);
    output.data(options.output, chunks, () => '');
    return EXIT.ok;
  }
  let isEmpty = true;
  for await (const chunk of readLogs(client, id, options)) {
    printer.print(chunk);
    await output.drained();
    isEmpty = false;
  }
  printer.end();
  if (isEmpty) output.note('No output.');
  return EXIT.ok;
}

async function* readLogs(client: ApiClient, id: string, { asset, step }: LogOptions): AsyncGenerator<RunLogChunk> {
  let after: number | null = 0;
  while (after !== null) {
    const page: z.infer<typeof logPageSchema> = await client.get(`/api/v1/runs/${id}/logs`, logPageSchema, {
      after,
      asset,
      step,
      limit: 1000,
    });
    yield* page.items;
    after = page.next;
  }
}

async function followLogs(
  { output }: Session,
  client: ApiClient,
  id: string,
  printer: LogPrinter,
  options: LogOptions,
): Promise<number> {
  try {
    for await (const event of followRun(client, id, { logs: true })) {
      if (event.type === 'lost') output.warn(`the API is away (${event.reason}); trying again`);
      if (event.type === 'back') output.note('The API is back.');
      if (event.type !== 'log') continue;
      const { data } = event;
      if (options.asset !== undefined && data.asset !== options.asset) continue;
      if (options.step !== undefined && data.step !== options.step) continue;
      if (options.output === 'json') output.stdout.write(`${JSON.stringify(data)}\n`);
      else if (options.output === 'yaml') output.stdout.write(`---\n${stringify(data, { lineWidth: 0 })}`);
      else printer.print(data);
      await output.drained();
    }
  } catch (error) {
    if (!(error instanceof InterruptedError)) throw error;
    printer.end();
    output.note(`Detached; the run goes on. Again: fettle run logs --follow ${id}`);
    return EXIT.interrupted;
  }
  printer.end();
  return EXIT.ok;
}
