import { documentDetailSchema, runSummarySchema, type StartRunRequest } from '@fettle/contracts';
import type { ApiClient } from '../../client/api-client.js';
import { ApiProblemError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { readText } from '../../session/read-input.js';
import { followToEnd } from './follow-to-end.js';
import { tellAccepted } from './tell-accepted.js';
import { inputsFromText, needsSchema, parseInputArguments, typedInputs } from './inputs.js';

interface StartOptions extends SpaceOptions {
  readonly input?: readonly string[];
  readonly inputsFile?: string;
  readonly on?: string;
  readonly runbookVersion?: string;
  readonly allowEmpty?: boolean;
  readonly reason?: string;
  readonly idempotencyKey?: string;
  readonly follow?: boolean;
}

export async function startRun(session: Session, runbook: string, options: StartOptions): Promise<number> {
  const inputArguments = parseInputArguments(options.input ?? []);
  const fromFile =
    options.inputsFile === undefined
      ? {}
      : inputsFromText(await readText(session.host, options.inputsFile), options.inputsFile);
  const client = session.connect(options);
  const schema = needsSchema(inputArguments) ? await readInputSchema(client, runbook, options) : null;
  const body: StartRunRequest = {
    runbook,
    space: options.space,
    inputs: { ...fromFile, ...typedInputs(inputArguments, schema) },
    allowEmpty: options.allowEmpty ?? false,
    ...(options.on === undefined ? {} : { on: options.on }),
    ...(options.runbookVersion === undefined ? {} : { version: options.runbookVersion }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  const run = await client.post('/api/v1/runs', runSummarySchema, {
    body,
    idempotencyKey: options.idempotencyKey ?? null,
  });
  if (options.follow === true) return (await followToEnd(session, client, run, { format: options.output })).exitCode;
  tellAccepted(session.output, run, options.output, 'follow it with: fettle run follow');
  return EXIT.ok;
}

/** The JSON Schema of the runbook's inputs; null where it may not be read: then values are text. */
async function readInputSchema(client: ApiClient, runbook: string, options: StartOptions): Promise<unknown> {
  try {
    const path = `/api/v1/documents/Runbook/${encodeURIComponent(runbook)}`;
    const { parsed } = await client.get(path, documentDetailSchema, {
      space: options.space,
      version: options.runbookVersion,
    });
    const spec: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'spec') : null;
    return typeof spec === 'object' && spec !== null ? Reflect.get(spec, 'inputs') : null;
  } catch (error) {
    if (error instanceof ApiProblemError && error.status === 403) return null;
    throw error;
  }
}
