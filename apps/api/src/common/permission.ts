import { createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
import { FettleError } from '@fettle/contracts';
import type { Permission } from '@fettle/security';
import type { Caller, FettleRequest } from './request.js';

/**
 * Where the space of a permission check comes from:
 * - `query`, `body`: its member `space`, `default` where absent;
 * - `run`: the space of the run that the path names;
 * - `any`: the permission must be held in some space, and the operation checks the spaces concerned.
 */
export type SpaceSource = 'query' | 'body' | 'run' | 'any';

export type RouteAccess =
  | { readonly kind: 'public' }
  | { readonly kind: 'signed-in' }
  | { readonly kind: 'permission'; readonly permission: Permission; readonly space: SpaceSource };

export const ROUTE_ACCESS = 'fettle:route-access';

/** The permission that a route needs. Every route has this, `SignedIn` or `Public`; one without stops the start. */
export function RequirePermission(
  permission: Permission,
  options: { readonly space?: SpaceSource } = {},
): MethodDecorator & ClassDecorator {
  const access: RouteAccess = { kind: 'permission', permission, space: options.space ?? 'query' };
  return SetMetadata(ROUTE_ACCESS, access);
}

/** A valid token is enough. */
export function SignedIn(): MethodDecorator & ClassDecorator {
  const access: RouteAccess = { kind: 'signed-in' };
  return SetMetadata(ROUTE_ACCESS, access);
}

/** Anybody who reaches the port may ask. */
export function Public(): MethodDecorator & ClassDecorator {
  const access: RouteAccess = { kind: 'public' };
  return SetMetadata(ROUTE_ACCESS, access);
}

/** The caller, whom the permission guard has let through. */
export const CurrentCaller = createParamDecorator((_data: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<FettleRequest>();
  if (!caller) throw new FettleError({ code: 'not-signed-in', message: 'This needs a token.' });
  return caller;
});
