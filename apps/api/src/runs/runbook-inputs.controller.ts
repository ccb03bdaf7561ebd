import { Controller, Get, Param, Query } from '@nestjs/common';
import { nameParamSchema, runbookInputsQuerySchema, runbookInputsSchema } from '@fettle/contracts';
import type { RunbookInputs, RunbookInputsQuery } from '@fettle/contracts';
import { describeInputs } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('runs')
@Controller('api/v1/runbooks')
export class RunbookInputsController {
  constructor(private readonly runner: OperationRunner) {}

  /** What a run of the runbook takes, with the values that the caller may give. */
  @Get(':name/inputs')
  @RequirePermission('document:read')
  @Answers(200, runbookInputsSchema)
  inputs(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
    @Query({ schema: runbookInputsQuerySchema }) query: RunbookInputsQuery,
  ): Promise<RunbookInputs> {
    return this.runner.readAs(caller, (context) => describeInputs(context, name, query));
  }
}
