import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE, DiscoveryModule } from '@nestjs/core';
import { Authenticator } from '@fettle/operations';
import { DataSource } from 'typeorm';
import { ApprovalsController } from './approvals/approvals.controller.js';
import { AssetsController } from './assets/assets.controller.js';
import { Enrolments } from './assets/enrolments.js';
import { Imports } from './assets/imports.js';
import { AuditController } from './audit/audit.controller.js';
import { CalendarsController } from './calendars/calendars.controller.js';
import { CapacityController } from './capacity/capacity.controller.js';
import { ApiLogger } from './common/logger.js';
import { CredentialsController } from './credentials/credentials.controller.js';
import { SealingKeys } from './credentials/sealing-keys.js';
import { DocumentsController } from './documents/documents.controller.js';
import { EventStreams } from './runs/event-streams.js';
import { RunWakeups } from './runs/run-wakeups.js';
import { FeedsController } from './feeds/feeds.controller.js';
import { ForecastController } from './forecast/forecast.controller.js';
import { InventoryController } from './inventory/inventory.controller.js';
import { RunbookInputsController } from './runs/runbook-inputs.controller.js';
import { PlansController } from './plans/plans.controller.js';
import { ContinueRunsController } from './runs/continue-runs.controller.js';
import { RunsController } from './runs/runs.controller.js';
import { SchedulesController } from './schedules/schedules.controller.js';
import { OperationRunner } from './common/operation-runner.js';
import { PermissionGuard } from './common/permission.guard.js';
import { ProblemFilter } from './common/problem.filter.js';
import { RequestPipe } from './common/request.pipe.js';
import { PrincipalsController } from './principals/principals.controller.js';
import { ReportsController } from './reports/reports.controller.js';
import { API_SETTINGS, type ApiSettings } from './settings.js';
import { MetricsController } from './system/metrics.controller.js';
import { Metrics } from './system/metrics.js';
import { SystemController } from './system/system.controller.js';
import { TokensController } from './tokens/tokens.controller.js';

export const controllers = [
  SystemController,
  MetricsController,
  PrincipalsController,
  TokensController,
  AuditController,
  DocumentsController,
  SchedulesController,
  RunsController,
  ContinueRunsController,
  PlansController,
  ApprovalsController,
  AssetsController,
  InventoryController,
  CredentialsController,
  RunbookInputsController,
  CapacityController,
  CalendarsController,
  ForecastController,
  FeedsController,
  ReportsController,
];

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
        SealingKeys,
        Enrolments,
        Imports,
        Metrics,
        RunWakeups,
        EventStreams,
        PermissionGuard,
        { provide: APP_GUARD, useExisting: PermissionGuard },
        { provide: APP_PIPE, useClass: RequestPipe },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
