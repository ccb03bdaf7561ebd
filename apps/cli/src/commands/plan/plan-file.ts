import { actionContracts } from '@fettle/activities/contracts';
import { assetNameSchema, InvalidDocumentError, type Plan, type RunbookDocument } from '@fettle/contracts';
import { validateInputs, planProgram, type PlanTarget, type ParsedDocument } from '@fettle/runbook/source';
import { UsageError } from '../../session/errors.js';
import type { Session } from '../../session/session.js';
import { checkSources, countErrors } from '../document/check-sources.js';
import { readSources } from '../document/read-sources.js';
import { readInputs, type RequestOptions } from '../run/run-request.js';

type Runbook = ParsedDocument & { readonly document: RunbookDocument };

/**
 * The plan of a runbook in a file, without a server: on targets that the command line names, with the labels that it gives them.
 * Selectors are not asked, facts are missing, and versions of credentials are not known.
 */
export async function planFile(
  session: Session,
  name: string | undefined,
  files: readonly string[],
  options: RequestOptions & { readonly target?: readonly string[] },
): Promise<Plan> {
  const sources = await readSources(session.host, files);
  const { documents, findings } = checkSources(sources);
  if (countErrors(findings) > 0) throw new InvalidDocumentError(files.join(', '), findings);
  const runbooks = documents.filter((one): one is Runbook => one.document?.kind === 'Runbook');
  const runbook = chosen(runbooks, name);
  const { spec, metadata } = runbook.document;
  const given = await readInputs(session, options, () => Promise.resolve(spec.inputs));
  const checked = validateInputs(spec, given);
  if (checked.inputs === null) {
    const [first] = checked.findings;
    throw new UsageError(`the inputs do not fit runbook "${metadata.name}": ${first?.message ?? 'invalid'}`);
  }
  const targets = (options.target ?? []).map(readTarget);
  return planProgram({
    space: metadata.space,
    runbook: metadata.name,
    version: runbook.digest,
    spec,
    actions: actionContracts,
    inputs: checked.inputs,
    targets,
    called: new Map(
      runbooks.map(({ document, digest }) => {
        const called = { name: document.metadata.name, version: digest, spec: document.spec, targets };
        return [called.name, called];
      }),
    ),
    checkInputs: (of, inputs) => {
      const result = validateInputs(of, inputs);
      if (result.inputs !== null) return { inputs: result.inputs };
      return { error: result.findings[0]?.message ?? 'invalid inputs' };
    },
  });
}

function chosen(runbooks: readonly Runbook[], name: string | undefined): Runbook {
  const names = runbooks.map(({ document }) => document.metadata.name);
  const [first] = runbooks;
  if (first === undefined) throw new UsageError('-f names no runbook');
  if (name === undefined && runbooks.length === 1) return first;
  const found = runbooks.find(({ document }) => document.metadata.name === name);
  if (found !== undefined) return found;
  throw new UsageError(
    name === undefined ? `name one of ${names.join(', ')}` : `-f has ${names.join(', ')}, not "${name}"`,
  );
}

/** `web-1`, or `web-1:role=web,site=ber` with labels. */
function readTarget(text: string): PlanTarget {
  const [name = '', rest = ''] = text.split(/:(.*)/s);
  if (!assetNameSchema.safeParse(name).success)
    throw new UsageError(`--target ${text.slice(0, 80)}: not the name of an asset`);
  const labels = Object.fromEntries(
    rest
      .split(',')
      .filter((part) => part !== '')
      .map((part) => {
        const at = part.indexOf('=');
        if (at < 1) throw new UsageError(`--target ${text.slice(0, 80)}: labels are NAME=VALUE, separated by commas`);
        return [part.slice(0, at), part.slice(at + 1)];
      }),
  );
  return { assetId: name, name, asset: { name, labels, facts: {}, quarantined: false } };
}
