import type { Permission } from '@fettle/security';

type Route = readonly [method: string, path: string, permission: Permission, body?: unknown];

/** Routes of ledgers, forecasts and feeds, with the permission that each should need. */
export function forecastRoutes(unknownId: string): readonly Route[] {
  return [
    ['POST', '/api/v1/schedules/none/backfill', 'schedule:operate', {}],
    ['GET', '/api/v1/schedules/none/ledger', 'document:read'],
    ['GET', '/api/v1/schedules/none/why', 'document:read'],
    ['GET', '/api/v1/forecast', 'document:read'],
    ['POST', '/api/v1/schedule-feeds', 'document:read', { name: '' }],
    ['GET', '/api/v1/schedule-feeds', 'document:read'],
    ['POST', `/api/v1/schedule-feeds/${unknownId}/revoke`, 'document:read'],
  ];
}
