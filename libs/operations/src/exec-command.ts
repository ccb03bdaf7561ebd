import { API_VERSION, runbookDocumentSchema, type ExecRequest, type RunSummary } from '@fettle/contracts';
import { saveOneOffVersion } from '@fettle/database';
import { digestOf } from '@fettle/runbook';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { acceptRun, findAccepted, type StartOptions } from './start-run.js';

/** Name of the runbook that one-off commands run as. */
export const EXEC_RUNBOOK = 'exec';

/** What a person typed is taken as it is: `${{` in it starts no expression. */
function literal(text: string): string {
  return text.replaceAll('${{', () => '$${{');
}

function execDocument(request: ExecRequest): Record<string, unknown> {
  return {
    apiVersion: API_VERSION,
    kind: 'Runbook',
    metadata: { name: EXEC_RUNBOOK, space: request.space },
    spec: {
      targets: 'true',
      ...(request.maxConcurrency === undefined ? {} : { rollout: { maxConcurrency: request.maxConcurrency } }),
      steps: [
        {
          id: 'command',
          uses: 'ssh.run',
          with: {
            argv: request.argv.map(literal),
            ...(request.effect === undefined ? {} : { effect: request.effect }),
            ...(request.become ? { become: true } : {}),
          },
          ...(request.timeoutSeconds === undefined ? {} : { timeout: request.timeoutSeconds }),
        },
      ],
    },
  };
}

/** A one-off command on a selection: a run like any other, of a runbook version made for it. */
export async function execCommand(
  context: OperationContext,
  request: ExecRequest,
  options: StartOptions = {},
): Promise<RunSummary> {
  const known = await findAccepted(context, request.space, options, request);
  if (known) return known;
  const document = execDocument(request);
  const parsed = runbookDocumentSchema.parse(document);
  const digest = digestOf(document);
  const versionId = await saveOneOffVersion(context.transaction, {
    id: uuidv7(),
    space: request.space,
    digest,
    name: EXEC_RUNBOOK,
    source: JSON.stringify(document, null, 2),
    parsed,
    createdBy: context.actor.name,
  });
  return acceptRun(context, {
    space: request.space,
    runbook: EXEC_RUNBOOK,
    spec: parsed.spec,
    versionId,
    version: digest,
    inputs: {},
    on: request.on,
    allowEmpty: request.allowEmpty,
    reason: request.reason,
    permission: 'exec:run',
    action: 'run.exec',
    requestDigest: digestOf(request),
    options,
    calendar: request,
  });
}
