import { Controller, Get, Query } from '@nestjs/common';
import { patchReportPageSchema, patchReportQuerySchema } from '@fettle/contracts';
import type { AssetPatches, Page, PatchReportQuery } from '@fettle/contracts';
import { reportPatches } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('reports')
@Controller('api/v1/reports')
export class ReportsController {
  constructor(private readonly runner: OperationRunner) {}

  /** How assets stand against rules of patches; those never scanned are told as such. */
  @Get('patches')
  @RequirePermission('asset:read')
  @Answers(200, patchReportPageSchema)
  patches(
    @CurrentCaller() caller: Caller,
    @Query({ schema: patchReportQuerySchema }) query: PatchReportQuery,
  ): Promise<Page<AssetPatches>> {
    return this.runner.readAs(caller, (context) => reportPatches(context, query));
  }
}
