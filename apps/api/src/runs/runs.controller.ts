import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  cancelRunRequestSchema,
  execRequestSchema,
  followQuerySchema,
  historyDataSchema,
  historyParamSchema,
  idParamSchema,
  listRunsQuerySchema,
  logChunkSchema,
  logsQuerySchema,
  pageOf,
  runDetailSchema,
  runHistorySchema,
  runSummarySchema,
  runTargetsQuerySchema,
  runTargetSchema,
  signalParamSchema,
  signalRunRequestSchema,
  startRunRequestSchema,
} from '@fettle/contracts';
import type {
  CancelRunRequest,
  ExecRequest,
  FollowQuery,
  HistoryData,
  ListRunsQuery,
  LogsQuery,
  Page,
  RunDetail,
  RunHistoryView,
  RunLogChunk,
  RunSummary,
  RunTarget,
  RunTargetsQuery,
  SignalRunRequest,
  StartRunRequest,
} from '@fettle/contracts';
import {
  cancelRun,
  execCommand,
  getHistoryData,
  getRun,
  getRunHistory,
  listRuns,
  listRunTargets,
  readEvents,
  readLogs,
  requireReadableRun,
  signalRun,
  startRun,
} from '@fettle/operations';
import type { Transaction } from '@fettle/database';
import { z } from 'zod';
import { idempotencyKeyOf } from '../common/idempotency-key.js';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller, FettleRequest, FettleResponse } from '../common/request.js';
import { cursorOf } from './cursor-of.js';
import { EventStreams } from './event-streams.js';

const logPageSchema = z.object({ items: z.array(logChunkSchema), next: z.int().nullable() });

@Resource('runs')
@Controller('api/v1')
export class RunsController {
  constructor(
    private readonly runner: OperationRunner,
    private readonly streams: EventStreams,
  ) {}

  /** Accepted, not done: the same `Idempotency-Key` with the same request gives the same run, with another one 409. */
  @Post('runs')
  @HttpCode(202)
  @RequirePermission('run:start', { space: 'body' })
  @Answers(202, runSummarySchema)
  start(
    @CurrentCaller() caller: Caller,
    @Body({ schema: startRunRequestSchema }) body: StartRunRequest,
    @Headers('idempotency-key') key: unknown,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => startRun(context, body, idempotencyKeyOf(key)));
  }

  /** A one-off command: a run like any other. */
  @Post('exec')
  @HttpCode(202)
  @RequirePermission('exec:run', { space: 'body' })
  @Answers(202, runSummarySchema)
  exec(
    @CurrentCaller() caller: Caller,
    @Body({ schema: execRequestSchema }) body: ExecRequest,
    @Headers('idempotency-key') key: unknown,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => execCommand(context, body, idempotencyKeyOf(key)));
  }

  @Get('runs')
  @RequirePermission('run:read')
  @Answers(200, pageOf(runSummarySchema))
  list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: listRunsQuerySchema }) query: ListRunsQuery,
  ): Promise<Page<RunSummary>> {
    return this.runner.readAs(caller, (context) => listRuns(context, query));
  }

  @Get('runs/:id')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, runDetailSchema)
  show(@CurrentCaller() caller: Caller, @Param({ schema: idParamSchema }) { id }: { id: string }): Promise<RunDetail> {
    return this.readOne(caller, id, (transaction) => getRun(transaction, id));
  }

  @Get('runs/:id/targets')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, pageOf(runTargetSchema))
  targets(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Query({ schema: runTargetsQuerySchema }) query: RunTargetsQuery,
  ): Promise<Page<RunTarget>> {
    return this.readOne(caller, id, (transaction) => listRunTargets(transaction, id, query));
  }

  @Get('runs/:id/logs')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, logPageSchema)
  logs(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Query({ schema: logsQuerySchema }) query: LogsQuery,
  ): Promise<{ items: RunLogChunk[]; next: number | null }> {
    return this.readOne(caller, id, (transaction) => readLogs(transaction, id, query));
  }

  /** What is archived of the run's workflow in Temporal; `audit` compares it with the audit log. */
  @Get('runs/:id/history')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, runHistorySchema)
  history(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
  ): Promise<RunHistoryView> {
    return this.readOne(caller, id, (transaction) => getRunHistory(transaction, id));
  }

  /** One execution of the workflow with its history: JSON, compressed (gzip), in base64. */
  @Get('runs/:id/history/:number')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, historyDataSchema)
  historyData(
    @CurrentCaller() caller: Caller,
    @Param({ schema: historyParamSchema }) { id, number }: { id: string; number: number },
  ): Promise<HistoryData> {
    return this.readOne(caller, id, (transaction) => getHistoryData(transaction, id, number));
  }

  @Post('runs/:id/cancel')
  @HttpCode(202)
  @RequirePermission('run:cancel', { space: 'run' })
  @Answers(202, runSummarySchema)
  cancel(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: cancelRunRequestSchema }) body: CancelRunRequest,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => cancelRun(context, id, body));
  }

  /**
   * Tells the step of a run that waits for it; kept where the step is still to come. A name that no step of its runbook waits for is a
   * conflict.
   */
  @Post('runs/:id/signals/:name')
  @HttpCode(202)
  @RequirePermission('run:start', { space: 'run' })
  @Answers(202, runSummarySchema)
  signal(
    @CurrentCaller() caller: Caller,
    @Param({ schema: signalParamSchema }) { id, name }: { id: string; name: string },
    @Body({ schema: signalRunRequestSchema }) { payload }: SignalRunRequest,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => signalRun(context, id, { name, payload }));
  }

  /** Server-sent events `entry` (and `log` with `logs=true`) after `Last-Event-ID` or `after`; `end` is the last one. */
  @Get('runs/:id/events')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, undefined, 'text/event-stream')
  events(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Query({ schema: followQuerySchema }) { after, logs }: FollowQuery,
    @Req() request: FettleRequest,
    @Res() response: FettleResponse,
  ): Promise<void> {
    return this.streams.follow(request, response, caller, {
      runId: id,
      after: cursorOf(request, after),
      readPage: (from, limit) =>
        this.readOne(caller, id, (transaction) => readEvents(transaction, id, { after: from, logs, limit })),
    });
  }

  /** Reads of one run: the caller may see it only if he may see all its targets. */
  private readOne<Result>(
    caller: Caller,
    id: string,
    read: (transaction: Transaction) => Promise<Result>,
  ): Promise<Result> {
    return this.runner.readAs(caller, async (context) => {
      await requireReadableRun(context, id);
      return read(context.transaction);
    });
  }
}
