import { FettleError, type EnrolRequest, type EnrolResult } from '@fettle/contracts';
import { endEnrolment, enqueueCommand, findEnrolment, insertEnrolment, type Transaction } from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { requireAsset } from './read-assets.js';

/**
 * Asks a worker to look at the host keys of an asset; `readEnrolment` tells what came of it.
 * @throws FettleError `not-found`, `invalid-request` where the asset has no address or replacing keys has no reason
 */
export async function requestEnrolment(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  request: EnrolRequest,
): Promise<string> {
  const { transaction, actor } = context;
  const asset = await requireAsset(context, 'asset:write', key);
  if (asset.endpoint === null) {
    throw new FettleError({
      code: 'invalid-request',
      message: `Asset "${key.name}" has no address, so there is nothing to enrol.`,
      remedy: `Set one first: fettle asset set ${key.name} --address HOST`,
    });
  }
  if (request.replace && request.expect === undefined && request.reason === undefined) {
    throw new FettleError({
      code: 'invalid-request',
      message: 'Replacing pinned host keys by whatever the host shows now needs a reason.',
      remedy: 'Say why the key changed, with --reason; or give the fingerprint with --expect.',
    });
  }
  const id = uuidv7();
  await insertEnrolment(transaction, {
    id,
    assetId: asset.id,
    principalId: actor.principalId,
    principalName: actor.name,
    principalKind: actor.kind,
    requestId: actor.requestId,
    expect: request.expect ?? null,
    isReplacing: request.replace,
    reason: request.reason ?? null,
  });
  await enqueueCommand(transaction, { kind: 'enrol-asset', subject: `enrol-${id}`, payload: { enrolmentId: id } });
  return id;
}

/**
 * The result of an enrolment; null while it is under way.
 * @throws FettleError `host-key-mismatch`, `host-unreachable`, `conflict`, or `unavailable` for one that was given up
 */
export async function readEnrolment(transaction: Transaction, id: string): Promise<EnrolResult | null> {
  const row = await findEnrolment(transaction, id);
  if (row?.state === 'waiting') return null;
  if (row?.state === 'succeeded') return row.result as EnrolResult;
  if (row?.error) throw new FettleError(row.error);
  throw notTaken();
}

/**
 * Gives an enrolment up, so that nothing is pinned after the person was told that it failed. One that has ended meanwhile
 * gives its result.
 * @throws FettleError as `readEnrolment`
 */
export async function abandonEnrolment(transaction: Transaction, id: string): Promise<EnrolResult> {
  await endEnrolment(transaction, id, { state: 'abandoned' });
  const result = await readEnrolment(transaction, id);
  if (result === null) throw notTaken();
  return result;
}

function notTaken(): FettleError {
  return new FettleError({
    code: 'unavailable',
    message: 'No worker looked at the host in time; nothing was pinned.',
    remedy: 'Check that a worker runs and reaches Temporal (fettle status), and try again.',
  });
}
