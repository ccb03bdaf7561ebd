import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { ProcessConfig } from '@fettle/config';
import { dataSourceOptions } from '@fettle/database';

/** The worker's Nest context: it owns the data source, everything else is composed from it in `startWorker`. */
@Module({})
export class WorkerModule {
  static forConfig(config: ProcessConfig): DynamicModule {
    return {
      module: WorkerModule,
      imports: [
        TypeOrmModule.forRoot({
          ...dataSourceOptions({
            url: config.databaseUrl,
            poolSize: config.databasePoolSize,
            applicationName: 'fettle-worker',
          }),
          retryAttempts: 20,
          retryDelay: 500,
        }),
      ],
    };
  }
}
