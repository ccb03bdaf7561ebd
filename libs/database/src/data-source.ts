import 'reflect-metadata';
import pg from 'pg';
import { DataSource, type DataSourceOptions, type EntityManager, type MixedList } from 'typeorm';
import * as documents from './entities/documents.js';
import * as inventory from './entities/inventory.js';
import * as principals from './entities/principals.js';
import * as runs from './entities/runs.js';
import * as schedules from './entities/schedules.js';
import { PreparingClient } from './preparing-client.js';

/** An open transaction (or, for reads, the plain manager): what every repository and operation takes first. */
export type Transaction = EntityManager;

export const entities = [
  inventory.SpaceEntity,
  inventory.AssetEntity,
  inventory.AssetFactEntity,
  inventory.AssetIdentifierEntity,
  inventory.AssetRelationEntity,
  inventory.EndpointEntity,
  inventory.CredentialEntity,
  principals.PrincipalEntity,
  principals.RoleBindingEntity,
  principals.ApiTokenEntity,
  documents.DocumentEntity,
  documents.DocumentVersionEntity,
  runs.RunEntity,
  runs.RunTargetEntity,
  runs.RunStepEntity,
  runs.LaneEntity,
  runs.EntryEntity,
  runs.RunLogEntity,
  runs.RunWaitEntity,
  runs.RunSignalEntity,
  schedules.ScheduleEntity,
  schedules.FireEntity,
];

export interface DatabaseSettings {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  readonly poolSize: number;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** Migration classes, oldest first; only the migrate command passes them. */
  readonly migrations?: MixedList<Function | string>; // eslint-disable-line @typescript-eslint/no-unsafe-function-type -- TypeORM's own type
}

/** Counters and sequence numbers stay far below 2^53, so bigint columns are read as numbers. */
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** Options for Nest's TypeORM module and for `createDataSource`; schema changes come from migrations alone. */
export function dataSourceOptions(settings: DatabaseSettings): DataSourceOptions {
  return {
    type: 'postgres',
    url: settings.url,
    applicationName: settings.applicationName,
    poolSize: settings.poolSize,
    entities,
    migrations: settings.migrations ?? [],
    migrationsTableName: 'migration',
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    connectTimeoutMS: 10_000,
    extra: { keepAlive: true, idleTimeoutMillis: 30_000, Client: PreparingClient },
  };
}

export async function createDataSource(settings: DatabaseSettings): Promise<DataSource> {
  const dataSource = new DataSource(dataSourceOptions(settings));
  await dataSource.initialize();
  return dataSource;
}
