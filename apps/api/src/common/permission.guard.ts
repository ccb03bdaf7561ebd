import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { DEFAULT_SPACE, FettleError, idSchema, nameSchema, notFoundError } from '@fettle/contracts';
import { findRunSpace } from '@fettle/database';
import { Authenticator, type AuthenticatedPrincipal } from '@fettle/operations';
import { decide, type Permission } from '@fettle/security';
import { DataSource } from 'typeorm';
import { ROUTE_ACCESS, type RouteAccess, type SpaceSource } from './permission.js';
import type { FettleRequest } from './request.js';

const remedySignIn = 'Pass "Authorization: Bearer fettle_..."; `fettle token create` makes a token.';

/** Signs the caller in and checks the permission that the route declares, before anything of the request is read further. */
@Injectable()
export class PermissionGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
    private readonly dataSource: DataSource,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.getAllAndOverride<RouteAccess | undefined>(ROUTE_ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    // The start refuses routes without a declaration; should one appear all the same, it stays shut.
    if (!access) throw new FettleError({ code: 'denied', message: 'This route declares no permission.' });
    if (access.kind === 'public') return true;
    const request = context.switchToHttp().getRequest<FettleRequest>();
    const principal = await this.identify(request);
    if (access.kind === 'permission') await this.check(request, principal, access.permission, access.space);
    return true;
  }

  /** For a public route that turns out to need a permission, in any space. */
  async require(request: FettleRequest, permission: Permission): Promise<void> {
    await this.check(request, await this.identify(request), permission, 'any');
  }

  private async identify(request: FettleRequest): Promise<AuthenticatedPrincipal> {
    const principal = await this.signIn(request);
    request.caller = { principal, requestId: request.requestId ?? '' };
    return principal;
  }

  private async signIn(request: FettleRequest): Promise<AuthenticatedPrincipal> {
    const header = request.headers.authorization;
    if (header === undefined) {
      throw new FettleError({ code: 'not-signed-in', message: 'This needs a token.', remedy: remedySignIn });
    }
    const token = /^Bearer +([^ ]{1,200})$/i.exec(header)?.[1];
    const principal = token === undefined ? null : await this.authenticator.authenticate(token);
    if (principal) return principal;
    const message = 'The token is not valid: it is unknown, expired or revoked.';
    throw new FettleError({ code: 'not-signed-in', message, remedy: remedySignIn });
  }

  private async check(
    request: FettleRequest,
    principal: AuthenticatedPrincipal,
    permission: Permission,
    source: SpaceSource,
  ): Promise<void> {
    const { bindings } = principal;
    const spaces =
      source === 'any' ? bindings.map((binding) => binding.space) : [await this.spaceOf(request, source, permission)];
    if (spaces.some((space) => decide({ bindings, permission, space }).allowed)) return;
    const where = source === 'any' ? '' : ` in the space ${spaces[0]}`;
    throw new FettleError({
      code: 'denied',
      message: `${principal.name} does not have the permission ${permission}${where}.`,
      remedy: `Ask an admin for a role that has ${permission}.`,
      detail: { permission, ...(source === 'any' ? {} : { space: spaces[0] }) },
    });
  }

  private async spaceOf(
    request: FettleRequest,
    source: 'query' | 'body' | 'run',
    permission: Permission,
  ): Promise<string> {
    if (source === 'run') return this.spaceOfRun(request, permission);
    const holder: unknown = source === 'query' ? request.query : request.body;
    const given: unknown =
      typeof holder === 'object' && holder !== null && Object.hasOwn(holder, 'space')
        ? (holder as Record<string, unknown>).space
        : undefined;
    if (given === undefined) return DEFAULT_SPACE;
    const parsed = nameSchema.safeParse(given);
    if (parsed.success) return parsed.data;
    throw new FettleError({ code: 'invalid-request', message: `"space" of the ${source} is not the name of a space.` });
  }

  private async spaceOfRun(request: FettleRequest, permission: Permission): Promise<string> {
    const parsed = idSchema.safeParse(request.params.id);
    if (!parsed.success)
      throw new FettleError({ code: 'invalid-request', message: 'The id of a run is a UUID in lower case.' });
    const space = await findRunSpace(this.dataSource.manager, parsed.data);
    const { bindings } = request.caller?.principal ?? { bindings: [] };
    // Who may not see runs anywhere learns nothing about which exist.
    const mayKnow = bindings.some((binding) => decide({ bindings, permission, space: binding.space }).allowed);
    if (space !== null || !mayKnow) return space ?? DEFAULT_SPACE;
    throw notFoundError('run', parsed.data, { remedy: 'See `fettle run list`.' });
  }
}
