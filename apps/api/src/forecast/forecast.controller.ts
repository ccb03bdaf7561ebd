import { Controller, Get, Query } from '@nestjs/common';
import { forecastQuerySchema, forecastSchema } from '@fettle/contracts';
import type { Forecast, ForecastQuery } from '@fettle/contracts';
import { forecast } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('schedules')
@Controller('api/v1/forecast')
export class ForecastController {
  constructor(private readonly runner: OperationRunner) {}

  /** What the schedules of a space are expected to do in the coming days; assets that the caller may not see are left out. */
  @Get()
  @RequirePermission('document:read')
  @Answers(200, forecastSchema)
  show(
    @CurrentCaller() caller: Caller,
    @Query({ schema: forecastQuerySchema }) query: ForecastQuery,
  ): Promise<Forecast> {
    return this.runner.readAs(caller, (context) => forecast(context, query));
  }
}
