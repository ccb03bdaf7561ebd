import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  nameParamSchema,
  pageOf,
  pageQuerySchema,
  pauseRequestSchema,
  runSummarySchema,
  scheduleSchema,
  spaceQuerySchema,
} from '@fettle/contracts';
import type { Page, PageQuery, RunSummary, Schedule, SpaceQuery } from '@fettle/contracts';
import { getSchedule, listSchedules, pauseSchedule, resumeSchedule, triggerSchedule } from '@fettle/operations';
import { idempotencyKeyOf } from '../common/idempotency-key.js';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('schedules')
@Controller('api/v1/schedules')
export class SchedulesController {
  constructor(private readonly runner: OperationRunner) {}

  @Get()
  @RequirePermission('document:read')
  @Answers(200, pageOf(scheduleSchema))
  list(@Query({ schema: pageQuerySchema }) query: PageQuery): Promise<Page<Schedule>> {
    return this.runner.read((transaction) => listSchedules(transaction, query));
  }

  @Get(':name')
  @RequirePermission('document:read')
  @Answers(200, scheduleSchema)
  show(
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
  ): Promise<Schedule> {
    return this.runner.read((transaction) => getSchedule(transaction, { space, name }));
  }

  @Post(':name/pause')
  @HttpCode(200)
  @RequirePermission('schedule:operate')
  @Answers(200, scheduleSchema)
  pause(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
    @Body({ schema: pauseRequestSchema }) body: { reason: string },
  ): Promise<Schedule> {
    return this.runner.write(caller, (context) => pauseSchedule(context, { space, name }, body));
  }

  @Post(':name/resume')
  @HttpCode(200)
  @RequirePermission('schedule:operate')
  @Answers(200, scheduleSchema)
  resume(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
  ): Promise<Schedule> {
    return this.runner.write(caller, (context) => resumeSchedule(context, { space, name }));
  }

  /** Starts the schedule's run now. */
  @Post(':name/trigger')
  @HttpCode(202)
  @RequirePermission('schedule:operate')
  @Answers(202, runSummarySchema)
  trigger(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
    @Headers('idempotency-key') key: unknown,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => triggerSchedule(context, { space, name }, idempotencyKeyOf(key)));
  }
}
