import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE, DiscoveryModule } from '@nestjs/core';
import { Authenticator } from '@fettle/operations';
import { DataSource } from 'typeorm';
import { ApiLogger } from './common/logger.js';
import { OperationRunner } from './common/operation-runner.js';
import { PermissionGuard } from './common/permission.guard.js';
import { ProblemFilter } from './common/problem.filter.js';
import { RequestPipe } from './common/request.pipe.js';
import { PrincipalsController } from './principals/principals.controller.js';
import { API_SETTINGS, type ApiSettings } from './settings.js';
import { SystemController } from './system/system.controller.js';
import { TokensController } from './tokens/tokens.controller.js';

export const controllers = [SystemController, PrincipalsController, TokensController];

/** The composition root of the API: an explicit list of controllers and the few providers they share. */
@Module({})
export class AppModule {
  static of(
    settings: ApiSettings,
    dataSource: DataSource,
    logger: ApiLogger,
    extra: Pick<DynamicModule, 'controllers'> = {},
  ): DynamicModule {
    return {
      module: AppModule,
      imports: [DiscoveryModule],
      controllers: [...controllers, ...(extra.controllers ?? [])],
      providers: [
        { provide: API_SETTINGS, useValue: settings },
        { provide: DataSource, useValue: dataSource },
        { provide: ApiLogger, useValue: logger },
        { provide: Authenticator, useFactory: () => new Authenticator(dataSource) },
        OperationRunner,
        { provide: APP_GUARD, useClass: PermissionGuard },
        { provide: APP_PIPE, useClass: RequestPipe },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
