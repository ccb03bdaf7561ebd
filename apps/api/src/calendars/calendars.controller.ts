import { Controller, Get, Param, Query } from '@nestjs/common';
import {
  calendarDetailSchema,
  calendarQuerySchema,
  calendarStatusQuerySchema,
  calendarStatusSchema,
  nameParamSchema,
} from '@fettle/contracts';
import type { CalendarDetail, CalendarQuery, CalendarStatus, CalendarStatusQuery } from '@fettle/contracts';
import { calendarStatus, showCalendar } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('calendars')
@Controller('api/v1')
export class CalendarsController {
  constructor(private readonly runner: OperationRunner) {}

  /** Whether work may begin at a moment: for an asset by all calendars that hold for it, or by each calendar of the space. */
  @Get('calendar-status')
  @RequirePermission('document:read')
  @Answers(200, calendarStatusSchema)
  status(
    @CurrentCaller() caller: Caller,
    @Query({ schema: calendarStatusQuerySchema }) query: CalendarStatusQuery,
  ): Promise<CalendarStatus> {
    return this.runner.readAs(caller, (context) => calendarStatus(context, query));
  }

  /** When a calendar is open and closed between two moments. */
  @Get('calendars/:name')
  @RequirePermission('document:read')
  @Answers(200, calendarDetailSchema)
  show(
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: calendarQuerySchema }) query: CalendarQuery,
  ): Promise<CalendarDetail> {
    return this.runner.read((transaction) => showCalendar(transaction, name, query));
  }
}
