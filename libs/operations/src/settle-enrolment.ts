import type { Endpoint, EnrolResult } from '@fettle/contracts';
import {
  endEnrolment,
  findAssetRow,
  findEnrolment,
  liftQuarantine,
  lockInventory,
  pinHostKeys,
  type AssetRow,
  type EnrolmentError,
  type EnrolmentRow,
  type Transaction,
} from '@fettle/database';
import { decideEnrolment, hostKeyFingerprint, typeOf, type ShownHostKey } from './decide-enrolment.js';
import { recordAudit } from './record-audit.js';

/** What a worker saw at an address. */
export type EnrolmentScan = { readonly address: string; readonly port: number } & (
  { readonly shown: readonly ShownHostKey[] } | { readonly error: EnrolmentError }
);

/** Ends an enrolment with what was seen: pins keys, lifts a quarantine and records it, or says why not. Twice is once. */
export async function settleEnrolment(
  transaction: Transaction,
  enrolmentId: string,
  scan: EnrolmentScan,
): Promise<void> {
  const enrolment = await findEnrolment(transaction, enrolmentId, { lock: true });
  if (!enrolment || enrolment.state !== 'waiting') return;
  const fail = (error: EnrolmentError): Promise<boolean> =>
    endEnrolment(transaction, enrolmentId, { state: 'failed', error });
  if ('error' in scan) return void (await fail(scan.error));
  await lockInventory(transaction, enrolment.space);
  const asset = await findAssetRow(transaction, enrolment.space, enrolment.asset, { lock: true });
  if (!asset || asset.endpoint?.address !== scan.address || asset.endpoint.port !== scan.port) {
    const message = `The address of ${enrolment.asset} changed while its host was looked at.`;
    return void (await fail({ code: 'conflict', message, remedy: 'Try again.' }));
  }
  const decision = decideEnrolment({
    asset: asset.name,
    host: hostText(asset.endpoint),
    pinned: asset.endpoint.hostKeys,
    shown: scan.shown,
    expect: enrolment.expect,
    isReplacing: enrolment.isReplacing,
  });
  if ('error' in decision) return void (await fail(decision.error));
  const result = await pin(transaction, enrolment, asset, decision.pin);
  await endEnrolment(transaction, enrolmentId, { state: 'succeeded', result });
}

async function pin(
  transaction: Transaction,
  enrolment: EnrolmentRow,
  asset: AssetRow,
  keys: readonly string[],
): Promise<EnrolResult> {
  const before = (asset.endpoint?.hostKeys ?? []).map(shownKey);
  const after = keys.map(shownKey);
  const changed = JSON.stringify(before) !== JSON.stringify(after);
  const quarantineLifted = asset.quarantinedAt !== null;
  if (changed) await pinHostKeys(transaction, asset.id, keys);
  if (quarantineLifted) await liftQuarantine(transaction, asset.id);
  if (changed || quarantineLifted) {
    const { principalId, principalName: name, principalKind: kind, requestId } = enrolment;
    // The permission was checked when it was asked for, on behalf of the same person.
    const context = { transaction, actor: { principalId, name, kind, requestId }, scopeOf: () => null };
    await recordAudit(context, {
      action: 'asset.enrol',
      space: enrolment.space,
      object: { kind: 'asset', name: asset.name, id: asset.id },
      detail: {
        before,
        after,
        expect: enrolment.expect,
        replace: enrolment.isReplacing,
        reason: enrolment.reason,
        liftedQuarantine: asset.quarantineReason,
      },
    });
  }
  const host = asset.endpoint === null ? '' : hostText(asset.endpoint);
  return { asset: asset.name, host, hostKeys: after, previousHostKeys: before, changed, quarantineLifted };
}

function hostText({ address, port, username }: Pick<Endpoint, 'address' | 'port' | 'username'>): string {
  return `${username === null ? '' : `${username}@`}${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function shownKey(line: string): { type: string; fingerprint: string } {
  return { type: typeOf(line), fingerprint: hostKeyFingerprint(line) };
}
