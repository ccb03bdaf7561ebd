import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  pageQuerySchema,
  planCheckPageSchema,
  planCheckParamSchema,
  planCheckSchema,
  planRequestSchema,
  planSchema,
  spaceOnlyQuerySchema,
} from '@fettle/contracts';
import type { Page, PageQuery, Plan, PlanCheck, PlanCheckResult, PlanRequestBody } from '@fettle/contracts';
import { getPlanCheck, listPlanCheckResults, planRun, requestPlanCheck } from '@fettle/operations';
import { z } from 'zod';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

/** Steps hold steps, which the API document cannot say; `docs/reference/plan.md` does. */
const answerSchema = planSchema.omit({ steps: true }).extend({
  steps: z.array(z.looseObject({ kind: z.string(), path: z.string(), stepId: z.string() })),
});

@Resource('plans')
@Controller('api/v1')
export class PlansController {
  constructor(private readonly runner: OperationRunner) {}

  /** What a run of that request would do now. Nothing is started; the plan is kept by its digest, which a start may be bound to. */
  @Post('plans')
  @HttpCode(200)
  @RequirePermission('run:start', { space: 'body' })
  @Answers(200, answerSchema)
  plan(@CurrentCaller() caller: Caller, @Body({ schema: planRequestSchema }) body: PlanRequestBody): Promise<Plan> {
    return this.runner.write(caller, (context) => planRun(context, body));
  }

  /** Plans, and has a worker ask the read-only probes of the plan's steps on its targets; nothing is started, and nothing changed. */
  @Post('plan-checks')
  @HttpCode(202)
  @RequirePermission('run:start', { space: 'body' })
  @Answers(202, z.object({ plan: answerSchema, check: planCheckSchema }))
  check(
    @CurrentCaller() caller: Caller,
    @Body({ schema: planRequestSchema }) body: PlanRequestBody,
  ): Promise<{ plan: Plan; check: PlanCheck }> {
    return this.runner.write(caller, (context) => requestPlanCheck(context, body));
  }

  /** How far it is. Of somebody else's it is read only by who may start runs on all assets of the space. */
  @Get('plan-checks/:id')
  @RequirePermission('run:start')
  @Answers(200, planCheckSchema)
  showCheck(
    @CurrentCaller() caller: Caller,
    @Param({ schema: planCheckParamSchema }) { id }: { id: string },
    @Query({ schema: spaceOnlyQuerySchema }) { space }: z.output<typeof spaceOnlyQuerySchema>,
  ): Promise<PlanCheck> {
    return this.runner.readAs(caller, (context) => getPlanCheck(context, { space, id }));
  }

  /** What was found so far, in the order of the plan. */
  @Get('plan-checks/:id/results')
  @RequirePermission('run:start')
  @Answers(200, planCheckPageSchema)
  checkResults(
    @CurrentCaller() caller: Caller,
    @Param({ schema: planCheckParamSchema }) { id }: { id: string },
    @Query({ schema: pageQuerySchema }) query: PageQuery,
  ): Promise<Page<PlanCheckResult>> {
    return this.runner.readAs(caller, (context) => listPlanCheckResults(context, { space: query.space, id }, query));
  }
}
