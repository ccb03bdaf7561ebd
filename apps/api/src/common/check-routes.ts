import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { type DiscoveryService, type MetadataScanner, type Reflector } from '@nestjs/core';
import { ROUTE_ACCESS } from './permission.js';

/**
 * Throws where a route declares no access (`RequirePermission`, `SignedIn` or `Public`): a forgotten declaration must stop the
 * start, not open or shut a route unseen.
 */
export function assertRoutesDeclareAccess(
  discovery: DiscoveryService,
  scanner: MetadataScanner,
  reflector: Reflector,
): void {
  const undeclared: string[] = [];
  for (const { instance, metatype } of discovery.getControllers()) {
    const prototype = instance ? (Object.getPrototypeOf(instance) as object) : null;
    if (!prototype || !metatype) continue;
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handler = (prototype as Record<string, unknown>)[name];
      if (typeof handler !== 'function' || Reflect.getMetadata(PATH_METADATA, handler) === undefined) continue;
      if (reflector.getAllAndOverride(ROUTE_ACCESS, [handler, metatype]) !== undefined) continue;
      undeclared.push(`${describe(handler, metatype)} (${metatype.name}.${name})`);
    }
  }
  if (undeclared.length === 0) return;
  throw new Error(
    `These routes declare no permission: ${undeclared.join(', ')}. ` +
      'Add @RequirePermission(...), @SignedIn() or @Public() to each of them.',
  );
}

function describe(handler: object, controller: object): string {
  const method = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined;
  const parts = [
    Reflect.getMetadata(PATH_METADATA, controller),
    Reflect.getMetadata(PATH_METADATA, handler),
  ] as unknown[];
  const path = parts
    .map((part) => String(part).replace(/^\/+|\/+$/g, ''))
    .filter((part) => part !== '')
    .join('/');
  return `${RequestMethod[method ?? RequestMethod.GET]} /${path}`;
}
