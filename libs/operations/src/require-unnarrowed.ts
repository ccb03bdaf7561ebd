import { FettleError } from '@fettle/contracts';
import { listSpaces } from '@fettle/database';
import type { Permission } from '@fettle/security';
import type { OperationContext } from './context.js';

/**
 * For what reaches beyond single assets: refuses unless the actor holds the permission on the whole space.
 * @throws FettleError `denied`.
 */
export function requireUnnarrowed(context: OperationContext, permission: Permission, space: string): void {
  const selectors = context.scopeOf(permission, space);
  if (selectors === null) return;
  const narrowed = selectors.length > 0;
  throw new FettleError({
    code: 'denied',
    message: narrowed
      ? `Your permission ${permission} in the space ${space} is narrowed to some assets, but this reaches all of them.`
      : `You do not have the permission ${permission} in the space ${space}.`,
    remedy: `Ask an admin of the space ${space} for a role that has ${permission}${narrowed ? ', without a selector' : ''}.`,
    detail: { permission, space },
  });
}

/**
 * For what reaches beyond one space: refuses unless the actor holds the permission, un-narrowed, in every space there is.
 * @throws FettleError `denied`, naming the first space where it is missing.
 */
export async function requireEverywhere(context: OperationContext, permission: Permission): Promise<void> {
  for (const space of await listSpaces(context.transaction)) requireUnnarrowed(context, permission, space);
}
