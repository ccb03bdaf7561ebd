import type { Credential, SetCredentialRequest } from '@fettle/contracts';
import { findCredentialRow, lockCredentialName, saveCredentialRow, type CredentialRow } from '@fettle/database';
import type { SealingKeyring } from '@fettle/security';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

/** What anyone may see of a credential: everything but its value. */
export function credentialView(row: CredentialRow): Credential {
  const { name, space, kind, username, keyId, version } = row;
  return {
    name,
    space,
    kind,
    username,
    keyId,
    version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** Seals a value under the current key; setting it again makes a new version. The value is in no answer, record or log. */
export async function setCredential(
  context: OperationContext,
  keyring: SealingKeyring,
  key: { readonly space: string; readonly name: string },
  request: SetCredentialRequest,
): Promise<Credential> {
  requireUnnarrowed(context, 'credential:write', key.space);
  const { transaction } = context;
  await lockCredentialName(transaction, key.space, key.name);
  const before = await findCredentialRow(transaction, key.space, key.name, { lock: true });
  const version = (before?.version ?? 0) + 1;
  await saveCredentialRow(transaction, {
    id: before?.id ?? uuidv7(),
    ...key,
    kind: request.kind,
    username: request.username,
    sealed: keyring.seal(Buffer.from(request.value, 'utf8'), { ...key, version }),
    keyId: keyring.currentKeyId,
    version,
  });
  await recordAudit(context, {
    action: 'credential.set',
    space: key.space,
    object: { kind: 'credential', name: key.name },
    detail: { kind: request.kind, username: request.username, version },
  });
  return credentialView((await findCredentialRow(transaction, key.space, key.name))!);
}
