import type { SshPool } from '@fettle/drivers';
import type { SealingKeyring } from '@fettle/security';
import type { DataSource } from 'typeorm';

/** What activities need of the process they run in; the worker's composition root makes it once. */
export interface WorkerServices {
  readonly dataSource: DataSource;
  readonly ssh: SshPool;
  readonly keyring: SealingKeyring;
  /** Key of the HMAC that makes effect tokens. */
  readonly tokenKey: Uint8Array;
  /** Host, process id and start of this worker, for people. */
  readonly workerName: string;
  /** Which workflows this worker executes; stored with the runs that it takes up first. */
  readonly engineVersion: string;
  /** `deployment:build`, to which the runs that it takes up are pinned; null: workers are not versioned. */
  readonly workerBuild: string | null;
  readonly logger: { warn(detail: Readonly<Record<string, unknown>>, message: string): void };
}
