import { FettleError, notFoundError, runbookDocumentSchema, walkSteps, type RunbookSpec } from '@fettle/contracts';
import { findDocument, type Transaction } from '@fettle/database';

/** Runbooks that one run may call, directly and by those that it calls. */
const MAX_CLOSURE = 200;

/**
 * The versions that calls without a version of their own use, by runbook: the newest ones as the topmost run starts, for all runs
 * below it. Null: it calls none. What a step pins by digest is only looked into for what it calls itself.
 * @throws FettleError `not-found` for a runbook or version that is not there, `limit-exceeded`
 */
export async function resolveClosure(
  transaction: Transaction,
  space: string,
  spec: RunbookSpec,
): Promise<Readonly<Record<string, string>> | null> {
  const queue = [...callsOf(spec)];
  if (queue.length === 0) return null;
  const closure: Record<string, string> = {};
  const seen = new Set<string>();
  for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
    const key = `${call.runbook}@${call.version ?? ''}`;
    if (seen.has(key)) continue;
    seen.add(key);
    if (seen.size > MAX_CLOSURE) {
      throw new FettleError({
        code: 'limit-exceeded',
        message: `The runbook calls more than ${MAX_CLOSURE} others, those that they call included.`,
        remedy: 'Split it.',
      });
    }
    const stored = await findDocument(transaction, { space, kind: 'Runbook', name: call.runbook }, call.version);
    if (stored === null) {
      throw notFoundError('Runbook', call.runbook, {
        space,
        part: call.version === undefined ? undefined : `version ${call.version}`,
        remedy: `Step "${call.step}" calls it: apply it first, or see \`fettle document list --kind Runbook\`.`,
      });
    }
    if (call.version === undefined) closure[call.runbook] = stored.version;
    const parsed = runbookDocumentSchema.safeParse(stored.parsed);
    if (parsed.success) queue.push(...callsOf(parsed.data.spec));
  }
  return closure;
}

interface Call {
  readonly step: string;
  readonly runbook: string;
  readonly version: string | undefined;
}

function callsOf({ steps, handlers = {} }: RunbookSpec): readonly Call[] {
  return [steps, ...Object.values(handlers)].flatMap((list) =>
    [...walkSteps(list)].flatMap((step) =>
      'call' in step ? [{ step: step.id, runbook: step.call.runbook, version: step.call.version }] : [],
    ),
  );
}
