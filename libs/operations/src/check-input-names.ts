import { FettleError, type Finding, type RunbookSpec } from '@fettle/contracts';
import { ASSET_NAMES_FIRST_PARAMETER, findCredentialRow, listAssetNames } from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { closestName, declaredInputs, type DeclaredInput } from '@fettle/runbook/source';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';

/** Allowed names that an error lists. */
const MAX_LISTED = 20;
/** Among which a slip of the pen is looked for. */
const MAX_COMPARED = 1000;

interface InputsOf {
  readonly space: string;
  readonly spec: Pick<RunbookSpec, 'inputs'>;
  /** They fit the schema already. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/**
 * What only the database knows of a run's inputs: that those with a query name assets which it selects and which the actor may
 * see, and that secret ones name credentials. Findings have the code `invalid-inputs`.
 * @throws FettleError `denied` where the actor may name no credential but those that the runbook lists, and names another
 */
export async function checkInputNames(context: OperationContext, request: InputsOf): Promise<readonly Finding[]> {
  const findings = [...(await checkSecretInputs(context, request))];
  for (const { input, value } of givenInputs(request)) {
    if (input.query !== null)
      findings.push(...(await queryFindings(context, request.space, input, input.query, value)));
  }
  return findings;
}

/** The part about secret inputs: what holds for a document that only keeps inputs for later. */
export async function checkSecretInputs(context: OperationContext, request: InputsOf): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { input, value } of givenInputs(request)) {
    if (input.isSecret) findings.push(...(await secretFindings(context, request.space, input, value)));
  }
  return findings;
}

function givenInputs({
  spec,
  inputs,
}: InputsOf): readonly { readonly input: DeclaredInput; readonly value: unknown }[] {
  return declaredInputs(spec.inputs)
    .filter(({ name }) => Object.hasOwn(inputs, name) && inputs[name] !== null)
    .map((input) => ({ input, value: inputs[input.name] }));
}

async function queryFindings(
  context: OperationContext,
  space: string,
  input: DeclaredInput,
  query: string,
  value: unknown,
): Promise<Finding[]> {
  const given = (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string');
  const allowed = await namesOfQuery(context, space, query, { names: given, limit: given.length });
  const missing = [...new Set(given)].filter((name) => !allowed.includes(name));
  if (missing.length === 0) return [];
  const known = await namesOfQuery(context, space, query, { limit: MAX_COMPARED });
  const more = known.length > MAX_LISTED ? ', ...' : '';
  const listed = known.length === 0 ? 'there is none' : `there are ${known.slice(0, MAX_LISTED).join(', ')}${more}`;
  return missing.slice(0, MAX_LISTED).map((name) => ({
    code: 'invalid-inputs',
    severity: 'error',
    message: `the input "${input.name}" must be an asset that ${query} selects, and "${name.slice(0, 80)}" is not; ${listed}`,
    path: `inputs.${input.name}`,
    suggestion: closestName(name, known),
  }));
}

/** Names of the assets that a query of an input selects, of those that the actor may see. */
export async function namesOfQuery(
  context: OperationContext,
  space: string,
  query: string,
  page: { readonly names?: readonly string[]; readonly prefix?: string; readonly limit: number },
): Promise<readonly string[]> {
  const selector = parseSelector(query, { origin: 'x-fettle-query' });
  const condition = assetCondition(selector, context.scopeOf('asset:read', space), ASSET_NAMES_FIRST_PARAMETER);
  return listAssetNames(context.transaction, { ...page, space, condition });
}

/** The name is not repeated: who misunderstands a secret input gives the secret itself. */
async function secretFindings(
  context: OperationContext,
  space: string,
  { name: input, allowed, ...declared }: DeclaredInput,
  value: unknown,
): Promise<Finding[]> {
  const refuse = (message: string): Finding[] => [
    { code: 'invalid-inputs', severity: 'error', message, path: `inputs.${input}` },
  ];
  if (typeof value !== 'string') return refuse(`the input "${input}" takes the name of a credential`);
  const isListed = allowed?.includes(value) === true || declared.default === value;
  if (!isListed && context.scopeOf('credential:read', space)?.length === 0) {
    throw new FettleError({
      code: 'denied',
      message: `You have no credential:read in space "${space}", so the input "${input}" takes only credentials that the runbook itself lists.`,
      remedy: 'Ask the author to list it as "enum" of that input, or an admin for a role with credential:read.',
    });
  }
  const credential = await findCredentialRow(context.transaction, space, value);
  if (!credential) {
    return refuse(
      `the input "${input}" takes the name of a credential of the space "${space}", and there is none of the name given; see "fettle credential list"`,
    );
  }
  if (credential.kind !== 'ssh-private-key') return [];
  return refuse(`the input "${input}" takes a credential of kind password or token; the one named is a private key`);
}
