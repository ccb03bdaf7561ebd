import type { RunbookDocument, RunbookInput, RunbookInputs, RunbookInputsQuery } from '@fettle/contracts';
import { listCredentialRows } from '@fettle/database';
import { declaredInputs, type DeclaredInput } from '@fettle/runbook/source';
import { namesOfQuery } from './check-input-names.js';
import type { OperationContext } from './context.js';
import { getDocument } from './get-document.js';

/** Names in one answer, for each input. */
const MAX_ALLOWED = 200;

/** What a runbook takes, with the values that the caller may give. @throws FettleError `not-found` */
export async function describeInputs(
  context: OperationContext,
  runbook: string,
  query: RunbookInputsQuery,
): Promise<RunbookInputs> {
  const { space, version, input: only } = query;
  const { parsed } = await getDocument(context.transaction, { space, kind: 'Runbook', name: runbook }, version);
  const declared = declaredInputs((parsed as RunbookDocument).spec.inputs);
  const items: RunbookInput[] = [];
  for (const input of declared) {
    if (only === undefined || input.name === only) items.push(await describe(context, query, input));
  }
  // A stored document has lost the order in which its author wrote them.
  items.sort((left, right) => Number(right.required) - Number(left.required) || (left.name < right.name ? -1 : 1));
  return { items };
}

async function describe(
  context: OperationContext,
  { space, prefix = '' }: RunbookInputsQuery,
  input: DeclaredInput,
): Promise<RunbookInput> {
  const { name, isRequired, isList, isSecret, types, description, query } = input;
  const names = await namesFor(context, space, prefix, input);
  return {
    name,
    required: isRequired,
    list: isList,
    secret: isSecret,
    types: [...types],
    description,
    ...('default' in input ? { default: input.default } : {}),
    query,
    allowed: names === null ? null : [...names.slice(0, MAX_ALLOWED)],
    more: names !== null && names.length > MAX_ALLOWED,
  };
}

async function namesFor(
  context: OperationContext,
  space: string,
  prefix: string,
  { allowed, query, isSecret }: DeclaredInput,
): Promise<readonly unknown[] | null> {
  if (allowed !== null) return allowed;
  if (query !== null) return namesOfQuery(context, space, query, { prefix, limit: MAX_ALLOWED + 1 });
  if (!isSecret || context.scopeOf('credential:read', space)?.length === 0) return null;
  // A space has few credentials; what is left of the first thousand after both conditions is enough to choose from.
  const rows = await listCredentialRows(context.transaction, { space, after: null, limit: 1000 });
  return rows.filter((row) => row.kind !== 'ssh-private-key' && row.name.startsWith(prefix)).map((row) => row.name);
}
