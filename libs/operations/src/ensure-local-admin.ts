import { DEFAULT_SPACE, FettleError } from '@fettle/contracts';
import {
  findPrincipal,
  findToken,
  insertBinding,
  insertPrincipal,
  insertToken,
  listTokenRows,
  lockPrincipals,
  revokeTokenRow,
} from '@fettle/database';
import { hashToken, parseToken, tokenMatches } from '@fettle/security';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';

export const LOCAL_ADMIN = 'local-admin';
const bootstrapTokenName = 'bootstrap';
const maxBootstrapTokens = 1000;

/**
 * Makes the token of the owner-only bootstrap file the sign-in of principal `local-admin` (role admin in space default). Another
 * token in the file replaces the one before. Idempotent, and safe when several processes start at once. A revoked `local-admin`
 * stays revoked: somebody decided that.
 * @returns whether anything was changed.
 * @throws FettleError `invalid-key-file` where the text is no token.
 */
export async function ensureLocalAdmin(context: OperationContext, tokenText: string): Promise<boolean> {
  const { transaction } = context;
  const parsed = parseToken(tokenText);
  if (!parsed) {
    throw new FettleError({
      code: 'invalid-key-file',
      message: 'The bootstrap token file does not hold an API token.',
      remedy: 'It holds one line "fettle_<id>_<secret>"; `fettle up` writes one where there is none.',
    });
  }
  await lockPrincipals(transaction);
  const stored = await findToken(transaction, parsed.id);
  if (stored) {
    if (stored.principal === LOCAL_ADMIN && tokenMatches(tokenText, stored.hash)) return false;
    throw new FettleError({
      code: 'conflict',
      message: 'The id of the bootstrap token belongs to another token already.',
      remedy: 'Delete the bootstrap token file and start again, so that a new one is made.',
    });
  }
  const principalId = await ensurePrincipal(context);
  const tokens = await listTokenRows(transaction, {
    space: DEFAULT_SPACE,
    principal: LOCAL_ADMIN,
    before: null,
    limit: maxBootstrapTokens,
  });
  const replaced = tokens.filter((token) => token.name === bootstrapTokenName && !token.revokedAt);
  for (const token of replaced) await revokeTokenRow(transaction, token.id);
  await insertToken(transaction, {
    id: parsed.id,
    principalId,
    name: bootstrapTokenName,
    hash: hashToken(tokenText),
    expiresAt: null,
  });
  await recordAudit(context, {
    action: 'token.create',
    space: DEFAULT_SPACE,
    object: { kind: 'token', name: bootstrapTokenName, id: parsed.id },
    detail: { principal: LOCAL_ADMIN, replaced: replaced.map((token) => token.id) },
  });
  return true;
}

async function ensurePrincipal(context: OperationContext): Promise<string> {
  const { transaction } = context;
  const existing = await findPrincipal(transaction, LOCAL_ADMIN);
  if (existing) return existing.id;
  const id = uuidv7();
  const binding = { role: 'admin', space: DEFAULT_SPACE, selector: null } as const;
  await insertPrincipal(transaction, { id, name: LOCAL_ADMIN, kind: 'person' });
  await insertBinding(transaction, { id: uuidv7(), principalId: id, ...binding });
  await recordAudit(context, {
    action: 'principal.create',
    space: DEFAULT_SPACE,
    object: { kind: 'principal', name: LOCAL_ADMIN, id },
    detail: { kind: 'person', bindings: [binding] },
  });
  return id;
}
