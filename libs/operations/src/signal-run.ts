import {
  FettleError,
  notFoundError,
  runbookDocumentSchema,
  walkSteps,
  type RunSummary,
  type WaitStep,
} from '@fettle/contracts';
import {
  appendEntries,
  countWaitingSignals,
  findRunRow,
  insertSignal,
  listSignalWaits,
  lockRun,
  notifyRun,
  readRunDefinition,
  saveLockedRun,
  wakeRun,
} from '@fettle/database';
import { digestOf } from '@fettle/runbook';
import { validatePayload } from '@fettle/runbook/source';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { runSummary } from './run-view.js';
import { requireRunInScope } from './select-targets.js';

/** Signals that wait for a step of one run. */
const MAX_WAITING_SIGNALS = 100;
/** A payload as JSON. */
const MAX_PAYLOAD_BYTES = 65_536;

/**
 * Sends a signal to the step of a run that waits for it. One that comes before its step is kept for it, as long as the run lasts; a name
 * that no step of the runbook waits for is refused.
 * @throws FettleError `not-found`, `denied`, `run-ended`, `no-such-signal`, `invalid-payload`, `limit-exceeded`
 */
export async function signalRun(
  context: OperationContext,
  runId: string,
  request: { readonly name: string; readonly payload: unknown },
): Promise<RunSummary> {
  const { transaction, actor } = context;
  const { name, payload } = request;
  const row = await findRunRow(transaction, runId);
  if (!row) throw notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
  await requireRunInScope(context, 'run:start', row);
  const run = await lockRun(transaction, runId);
  const waits = await waitsOf(context, runId);
  if (!['queued', 'running', 'waiting-approval'].includes(run.state)) {
    throw new FettleError({ code: 'run-ended', message: `Run ${runId} has already ended as ${run.state}.` });
  }
  checkSignal(request, waits);
  if ((await countWaitingSignals(transaction, runId)) >= MAX_WAITING_SIGNALS) {
    throw new FettleError({
      code: 'limit-exceeded',
      message: `${MAX_WAITING_SIGNALS} signals wait for run ${runId} already; none of its steps has taken them.`,
      remedy: 'See with `fettle run show` what the run is doing.',
    });
  }
  const id = uuidv7();
  await insertSignal(transaction, runId, { id, name, payload, sentBy: actor.name });
  await appendEntries(transaction, run, [
    { kind: 'signal-sent', data: { signal: name, signalId: id, by: actor.name } },
  ]);
  await saveLockedRun(transaction, run);
  for (const path of await listSignalWaits(transaction, runId, name)) await wakeRun(transaction, runId, path);
  await recordAudit(context, {
    action: 'run.signal',
    space: row.space,
    object: { kind: 'run', name: runId, id: runId },
    // It may be large; with the run's record beside it, the digest proves it.
    detail: { signal: name, signalId: id, payloadDigest: digestOf(payload) },
  });
  await notifyRun(transaction, runId);
  return runSummary((await findRunRow(transaction, runId))!);
}

type SignalWait = Extract<WaitStep['wait'], { signal: string }>;

async function waitsOf({ transaction }: OperationContext, runId: string): Promise<readonly SignalWait[]> {
  const definition = await readRunDefinition(transaction, runId);
  const parsed = runbookDocumentSchema.safeParse(definition?.document);
  if (!parsed.success) return [];
  const { steps, handlers = {} } = parsed.data.spec;
  return [steps, ...Object.values(handlers)].flatMap((list) =>
    [...walkSteps(list)].flatMap((step) => ('wait' in step && 'signal' in step.wait ? [step.wait] : [])),
  );
}

function checkSignal(
  { name, payload }: { readonly name: string; readonly payload: unknown },
  waits: readonly SignalWait[],
): void {
  const named = waits.filter((wait) => wait.signal === name);
  if (named.length === 0) {
    const names = [...new Set(waits.map((wait) => `"${wait.signal}"`))];
    throw new FettleError({
      code: 'no-such-signal',
      message: `No step of this run's runbook waits for a signal "${name}".`,
      remedy: names.length === 0 ? 'Its runbook waits for none.' : `It waits for ${names.join(', ')}.`,
    });
  }
  const problems = named.map((wait) => payloadProblem(wait.payload, payload));
  const [problem] = problems;
  if (problems.includes(null) || problem === null || problem === undefined) return;
  throw new FettleError({
    code: 'invalid-payload',
    message: `The payload of signal "${name}" does not fit: ${problem}`,
    remedy: 'Give it as a JSON object that fits the schema of the step: --payload JSON.',
  });
}

/** What is wrong with the payload of a signal, by the JSON Schema of the step that waits for it; null: nothing. */
export function payloadProblem(schema: Readonly<Record<string, unknown>>, payload: unknown): string | null {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return 'it is not a JSON object.';
  const sizeBytes = Buffer.byteLength(JSON.stringify(payload));
  if (sizeBytes > MAX_PAYLOAD_BYTES) return `it has ${sizeBytes} bytes as JSON, more than ${MAX_PAYLOAD_BYTES}.`;
  const { inputs, findings } = validatePayload(schema, payload);
  return inputs === null ? `${findings[0]?.message ?? 'invalid'}.` : null;
}
