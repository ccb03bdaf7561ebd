import { documentDetailSchema, type StartRunRequest } from '@fettle/contracts';
import type { ApiClient } from '../../client/api-client.js';
import { ApiProblemError } from '../../session/errors.js';
import { readText } from '../../session/read-input.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { inputsFromText, needsSchema, parseInputArguments, typedInputs } from './inputs.js';

/** What says which run is meant: to start it, or to plan it. */
export interface RequestOptions extends SpaceOptions {
  readonly input?: readonly string[];
  readonly inputsFile?: string;
  readonly on?: string;
  readonly runbookVersion?: string;
  readonly allowEmpty?: boolean;
}

type RunRequest = Pick<StartRunRequest, 'runbook' | 'space' | 'inputs' | 'allowEmpty' | 'on' | 'version'>;

/** @throws UsageError for inputs that cannot be read */
export async function readRunRequest(
  session: Session,
  client: ApiClient,
  runbook: string,
  options: RequestOptions,
): Promise<RunRequest> {
  const schemaOf = (): Promise<unknown> => readInputSchema(client, runbook, options);
  return {
    runbook,
    space: options.space,
    inputs: await readInputs(session, options, schemaOf),
    allowEmpty: options.allowEmpty ?? false,
    ...(options.on === undefined ? {} : { on: options.on }),
    ...(options.runbookVersion === undefined ? {} : { version: options.runbookVersion }),
  };
}

/** Inputs of the command line and of a file, the former over the latter; the schema is asked for only where types depend on it. */
export async function readInputs(
  session: Session,
  options: Pick<RequestOptions, 'input' | 'inputsFile'>,
  schemaOf: () => Promise<unknown>,
): Promise<Record<string, unknown>> {
  const inputArguments = parseInputArguments(options.input ?? []);
  const fromFile =
    options.inputsFile === undefined
      ? {}
      : inputsFromText(await readText(session.host, options.inputsFile), options.inputsFile);
  const schema = needsSchema(inputArguments) ? await schemaOf() : null;
  return { ...fromFile, ...typedInputs(inputArguments, schema) };
}

/** The JSON Schema of the runbook's inputs; null where it may not be read: then values are text. */
async function readInputSchema(client: ApiClient, runbook: string, options: RequestOptions): Promise<unknown> {
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
