import type { Permission } from '@fettle/security';

type Route = readonly [method: string, path: string, permission: Permission, body?: unknown];

/** Routes of forecasts and feeds, with the permission that each should need. */
export function forecastRoutes(unknownId: string): readonly Route[] {
  return [
    ['GET', '/api/v1/forecast', 'document:read'],
    ['POST', '/api/v1/schedule-feeds', 'document:read', { name: '' }],
    ['GET', '/api/v1/schedule-feeds', 'document:read'],
    ['POST', `/api/v1/schedule-feeds/${unknownId}/revoke`, 'document:read'],
  ];
}
