import {
  assetSchema,
  documentSummarySchema,
  principalSchema,
  runbookInputsSchema,
  runSummarySchema,
  scheduleSchema,
} from '@fettle/contracts';
import { Argument, type Command } from 'commander';
import type { z } from 'zod';
import { ApiClient } from '../../client/api-client.js';
import { findApi } from '../../client/find-api.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';
import { complete, type InputPlace, type NameKind } from './complete.js';
import { COMPLETE_FILES, completionScripts, shells, type Shell } from './scripts.js';

export function addCompletionCommands(program: Command, session: Session): void {
  program
    .command('completion')
    .description('print a script that completes fettle in your shell, e.g. source <(fettle completion bash)')
    .addArgument(new Argument('<shell>').choices(shells))
    .action(
      session.act(async ({ output }, shell: Shell) => {
        output.stdout.write(completionScripts[shell]);
        return Promise.resolve(EXIT.ok);
      }),
    );
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(session.act((current, words: readonly string[]) => printCandidates(current, program, words)));
}

async function printCandidates(session: Session, program: Command, words: readonly string[]): Promise<number> {
  const { candidates, names, input } = complete(program, words);
  if (input !== undefined) {
    const offered = await quietly(session, (client) => askInputs(client, input));
    session.output.stdout.write(offered.map((candidate) => `${candidate}\n`).join(''));
    return EXIT.ok;
  }
  if (names === 'file') return COMPLETE_FILES;
  const typed = words.at(-1) ?? '';
  const found = names === null ? candidates : (await askNames(session, names)).filter((name) => name.startsWith(typed));
  session.output.stdout.write(found.map((candidate) => `${candidate}\n`).join(''));
  return EXIT.ok;
}

/** A Tab must not hang. */
const TIMEOUT_MS = 1500;
const MAX_NAMES = 200;

interface NameSource<Item extends z.ZodType> {
  readonly path: string;
  readonly item: Item;
  readonly name: (item: z.output<Item>) => string;
  readonly query?: Readonly<Record<string, string>>;
}

async function namesFrom<Item extends z.ZodType>(client: ApiClient, source: NameSource<Item>): Promise<string[]> {
  const { items } = await client.list(source.path, source.item, source.query ?? {}, MAX_NAMES);
  return items.map(source.name);
}

/** None where the API cannot be asked: a Tab shows no errors. */
async function quietly(session: Session, ask: (client: ApiClient) => Promise<string[]>): Promise<string[]> {
  try {
    return await ask(new ApiClient(findApi(undefined, session.host.env), AbortSignal.timeout(TIMEOUT_MS)));
  } catch {
    return [];
  }
}

/** Names of a runbook's inputs with "=", or the values that one of them takes. */
async function askInputs(client: ApiClient, place: InputPlace): Promise<string[]> {
  const path = `/api/v1/runbooks/${encodeURIComponent(place.runbook)}/inputs`;
  const one = place.input === null ? {} : { input: place.input, prefix: place.prefix };
  const { items } = await client.get(path, runbookInputsSchema, { ...one, space: place.space });
  if (place.input === null) {
    return items.map((item) => `${item.name}=`).filter((text) => text.startsWith(place.prefix));
  }
  return items
    .flatMap((item) => (item.types.includes('boolean') ? [true, false] : (item.allowed ?? [])))
    .map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
    .filter((text) => text.startsWith(place.prefix))
    .map((text) => `${place.before}${text}`);
}

/** Names that the API knows. */
function askNames(session: Session, kind: Exclude<NameKind, 'file'>): Promise<string[]> {
  return quietly(session, async (client) => {
    switch (kind) {
      case 'runbook': {
        const query = { kind: 'Runbook' };
        return await namesFrom(client, {
          path: '/api/v1/documents',
          item: documentSummarySchema,
          name: (one) => one.name,
          query,
        });
      }
      case 'run':
        return await namesFrom(client, { path: '/api/v1/runs', item: runSummarySchema, name: (one) => one.id });
      case 'schedule':
        return await namesFrom(client, { path: '/api/v1/schedules', item: scheduleSchema, name: (one) => one.name });
      case 'asset':
        return await namesFrom(client, { path: '/api/v1/assets', item: assetSchema, name: (one) => one.name });
      case 'principal':
        return await namesFrom(client, { path: '/api/v1/principals', item: principalSchema, name: (one) => one.name });
    }
  });
}
