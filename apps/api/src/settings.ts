import type { ProcessConfig } from '@fettle/config';

/** What the API needs of the process's settings. */
export type ApiSettings = Pick<
  ProcessConfig,
  | 'databaseUrl'
  | 'databasePoolSize'
  | 'dataDir'
  | 'host'
  | 'port'
  | 'logLevel'
  | 'auditKeyFile'
  | 'auditPublicKeyFile'
  | 'sealingKeyFile'
  | 'bootstrapTokenFile'
  | 'metricsPublic'
>;

/** Injection token of `ApiSettings`. */
export const API_SETTINGS = 'fettle:api-settings';
