import { FettleError, notFoundError, type CreatePrincipalRequest, type Principal } from '@fettle/contracts';
import {
  findPrincipalById,
  insertBinding,
  insertPrincipal,
  isForeignKeyViolation,
  isUniqueViolation,
  lockPrincipals,
} from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { principalView } from './principal-view.js';
import { recordRightsAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

/**
 * Creates a principal with its role bindings. The actor needs `principal:write` in the space of each binding, so nobody hands
 * out rights in a space where he has none to hand out.
 */
export async function createPrincipal(context: OperationContext, request: CreatePrincipalRequest): Promise<Principal> {
  for (const [index, binding] of request.bindings.entries()) {
    requireUnnarrowed(context, 'principal:write', binding.space);
    if (binding.selector !== null) parseSelector(binding.selector, { origin: `bindings[${index}].selector` });
  }
  const { transaction } = context;
  await lockPrincipals(transaction);
  const id = uuidv7();
  await insertPrincipal(transaction, { id, name: request.name, kind: request.kind }).catch((error: unknown) => {
    if (!isUniqueViolation(error)) throw error;
    throw new FettleError({
      code: 'already-exists',
      message: `There is already a principal named ${request.name}.`,
      remedy: 'Choose another name; the name of a revoked principal stays taken, because the audit log speaks of it.',
      cause: error,
    });
  });
  for (const binding of request.bindings) {
    await insertBinding(transaction, { id: uuidv7(), principalId: id, ...binding }).catch((error: unknown) => {
      if (!isForeignKeyViolation(error)) throw error;
      throw notFoundError('space', binding.space, { cause: error });
    });
  }
  const created = await findPrincipalById(transaction, id);
  if (!created) throw notFoundError('principal', request.name);
  await recordRightsAudit(context, created.bindings, {
    action: 'principal.create',
    object: { kind: 'principal', name: request.name, id },
    detail: (bindings) => ({ kind: request.kind, bindings }),
  });
  return principalView(created);
}
