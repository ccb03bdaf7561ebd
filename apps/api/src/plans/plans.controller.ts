import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { planRequestSchema, planSchema } from '@fettle/contracts';
import type { Plan, PlanRequestBody } from '@fettle/contracts';
import { planRun } from '@fettle/operations';
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
}
