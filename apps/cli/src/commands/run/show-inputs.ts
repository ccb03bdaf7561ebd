import { runbookInputsSchema, type RunbookInput } from '@fettle/contracts';
import type { Column } from '../../output/table.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

interface InputsOptions extends SpaceOptions {
  readonly runbookVersion?: string;
}

/** What a runbook takes, with the values that may be given. */
export async function showInputs(session: Session, runbook: string, options: InputsOptions): Promise<number> {
  const path = `/api/v1/runbooks/${encodeURIComponent(runbook)}/inputs`;
  const { items } = await session.connect(options).get(path, runbookInputsSchema, {
    space: options.space,
    version: options.runbookVersion,
  });
  session.output.list(options.output, items, columns, `The runbook "${runbook}" takes no inputs.`);
  return EXIT.ok;
}

const MAX_SHOWN = 20;

const columns: Column<RunbookInput>[] = [
  { title: 'INPUT', value: (input) => input.name },
  { title: 'TAKES', value: takes },
  { title: 'REQUIRED', value: (input) => (input.required && input.default === undefined ? 'yes' : '') },
  { title: 'DEFAULT', value: (input) => (input.default === undefined ? '' : JSON.stringify(input.default)) },
  { title: 'ALLOWED', value: allowed },
  { title: 'DESCRIPTION', value: (input) => input.description },
];

function takes({ secret, query, list, types }: RunbookInput): string {
  const one = secret ? 'credential' : query !== null ? 'asset' : types.filter((type) => type !== 'array').join('|');
  return list ? `list${one === '' ? '' : ` of ${one}`}` : one === '' ? 'any' : one;
}

function allowed({ allowed: values, more }: RunbookInput): string {
  if (values === null) return '';
  const shown = values.slice(0, MAX_SHOWN).map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  return `${shown.join(', ')}${more || values.length > MAX_SHOWN ? ', ...' : ''}`;
}
