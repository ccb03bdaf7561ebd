import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  backfillRequestSchema,
  backfillSchema,
  ledgerSchema,
  nameParamSchema,
  pageOf,
  pageQuerySchema,
  pauseRequestSchema,
  scheduleNotificationsSchema,
  scheduleSchema,
  scheduleWhySchema,
  spaceQuerySchema,
  triggerRequestSchema,
  triggerResultSchema,
  whyQuerySchema,
} from '@fettle/contracts';
import type {
  Backfill,
  BackfillRequest,
  Ledger,
  Page,
  PageQuery,
  PauseRequest,
  Schedule,
  ScheduleNotifications,
  ScheduleWhy,
  SpaceQuery,
  TriggerRequest,
  TriggerResult,
} from '@fettle/contracts';
import {
  backfillSchedule,
  getSchedule,
  listSchedules,
  pauseSchedule,
  readLedger,
  readScheduleNotifications,
  resumeSchedule,
  triggerSchedule,
  whySchedule,
} from '@fettle/operations';
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
    @Body({ schema: pauseRequestSchema }) body: PauseRequest,
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

  /** Starts the schedule's run now, or has it wait, as the schedule says of overlap and calendars. */
  @Post(':name/trigger')
  @HttpCode(202)
  @RequirePermission('schedule:operate')
  @Answers(202, triggerResultSchema)
  trigger(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
    @Body({ schema: triggerRequestSchema }) body: TriggerRequest,
    @Headers('idempotency-key') key: unknown,
  ): Promise<TriggerResult> {
    const options = { ...body, ...idempotencyKeyOf(key) };
    return this.runner.write(caller, (context) => triggerSchedule(context, { space, name }, options));
  }

  /** Queues runs for instants of the past that have had none. */
  @Post(':name/backfill')
  @HttpCode(202)
  @RequirePermission('schedule:operate')
  @Answers(202, backfillSchema)
  backfill(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
    @Body({ schema: backfillRequestSchema }) body: BackfillRequest,
  ): Promise<Backfill> {
    return this.runner.write(caller, (context) => backfillSchedule(context, { space, name }, body));
  }

  /** The fire ledger, the newest first, and whether it adds up. */
  @Get(':name/ledger')
  @RequirePermission('document:read')
  @Answers(200, ledgerSchema)
  ledger(
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: pageQuerySchema }) query: PageQuery,
  ): Promise<Ledger> {
    const { space } = query;
    // Watermark and rows of one moment.
    return this.runner.read((manager) =>
      manager.transaction('REPEATABLE READ', (transaction) => readLedger(transaction, { space, name }, query)),
    );
  }

  /** One sentence on what became of a moment. */
  @Get(':name/why')
  @RequirePermission('document:read')
  @Answers(200, scheduleWhySchema)
  why(
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: whyQuerySchema }) { space, at }: { space: string; at?: string },
  ): Promise<ScheduleWhy> {
    return this.runner.read((transaction) => whySchedule(transaction, { space, name }, { at }));
  }

  /** What was told of it lately, the newest first. */
  @Get(':name/notifications')
  @RequirePermission('document:read')
  @Answers(200, scheduleNotificationsSchema)
  notifications(
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
  ): Promise<ScheduleNotifications> {
    return this.runner.read((transaction) => readScheduleNotifications(transaction, { space, name }));
  }
}
