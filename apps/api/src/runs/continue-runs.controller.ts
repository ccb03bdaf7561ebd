import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  idParamSchema,
  resolveRunRequestSchema,
  resumeRunRequestSchema,
  retryRunRequestSchema,
  runAtSchema,
  runDiffQuerySchema,
  runDiffSchema,
  runStateQuerySchema,
  runSummarySchema,
} from '@fettle/contracts';
import type {
  ResolveRunRequest,
  ResumeRunRequest,
  RetryRunRequest,
  RunAt,
  RunDiff,
  RunDiffQuery,
  RunStateQuery,
  RunSummary,
} from '@fettle/contracts';
import { diffRuns, readRunAt, requireReadableRun, resolveRun, resumeRun, retryRun } from '@fettle/operations';
import { idempotencyKeyOf } from '../common/idempotency-key.js';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

/** Runs that have ended: taken up, made again, settled, looked back at, compared. */
@Resource('runs')
@Controller('api/v1')
export class ContinueRunsController {
  constructor(private readonly runner: OperationRunner) {}

  /** A new run goes on where an ended one stopped; `version-changed` (409) has what to acknowledge of an edited runbook. */
  @Post('runs/:id/resume')
  @HttpCode(202)
  @RequirePermission('run:start', { space: 'run' })
  @Answers(202, runSummarySchema)
  resume(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: resumeRunRequestSchema }) body: ResumeRunRequest,
    @Headers('idempotency-key') key: unknown,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => resumeRun(context, id, body, idempotencyKeyOf(key)));
  }

  /** A new run makes an ended one again from its beginning, on those of its targets that are meant. */
  @Post('runs/:id/retry')
  @HttpCode(202)
  @RequirePermission('run:start', { space: 'run' })
  @Answers(202, runSummarySchema)
  retry(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: retryRunRequestSchema }) body: RetryRunRequest,
    @Headers('idempotency-key') key: unknown,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => retryRun(context, id, body, idempotencyKeyOf(key)));
  }

  /** Settles by hand what became of a step that is `unknown`. */
  @Post('runs/:id/resolve')
  @HttpCode(200)
  @RequirePermission('run:start', { space: 'run' })
  @Answers(200, runSummarySchema)
  resolve(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: resolveRunRequestSchema }) body: ResolveRunRequest,
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => resolveRun(context, id, body));
  }

  /** The state of a run after the entry of that number. */
  @Get('runs/:id/state')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, runAtSchema)
  state(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Query({ schema: runStateQuerySchema }) { at }: RunStateQuery,
  ): Promise<RunAt> {
    return this.runner.readAs(caller, async (context) => {
      await requireReadableRun(context, id);
      return readRunAt(context.transaction, id, at);
    });
  }

  /** In what a run differs from another one, which the caller must be allowed to read, too. */
  @Get('runs/:id/diff')
  @RequirePermission('run:read', { space: 'run' })
  @Answers(200, runDiffSchema)
  diff(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Query({ schema: runDiffQuerySchema }) query: RunDiffQuery,
  ): Promise<RunDiff> {
    return this.runner.readAs(caller, async (context) => {
      await requireReadableRun(context, id);
      await requireReadableRun(context, query.with);
      return diffRuns(context.transaction, id, query.with);
    });
  }
}
