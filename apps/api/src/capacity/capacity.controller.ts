import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  capacityKeyParamSchema,
  capacityPageSchema,
  capacitySchemaOfKey,
  freeCapacityRequestSchema,
  idParamSchema,
  pageQuerySchema,
  runSummarySchema,
  spaceQuerySchema,
} from '@fettle/contracts';
import type { CapacityOfKey, Page, PageQuery, RunSummary, SpaceQuery } from '@fettle/contracts';
import { freeCapacityOfRun, getCapacity, listCapacity } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('capacity')
@Controller('api/v1')
export class CapacityController {
  constructor(private readonly runner: OperationRunner) {}

  @Get('capacity')
  @RequirePermission('document:read')
  @Answers(200, capacityPageSchema)
  list(@Query({ schema: pageQuerySchema }) query: PageQuery): Promise<Page<CapacityOfKey>> {
    return this.runner.read((transaction) => listCapacity(transaction, query));
  }

  @Get('capacity/:key')
  @RequirePermission('document:read')
  @Answers(200, capacitySchemaOfKey)
  show(
    @Param({ schema: capacityKeyParamSchema }) { key }: { key: string },
    @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery,
  ): Promise<CapacityOfKey> {
    return this.runner.read((transaction) => getCapacity(transaction, { space, key }));
  }

  /** Gives back what is kept for a run that has ended with a step that may still be at work: somebody has looked. */
  @Post('runs/:id/free-capacity')
  @HttpCode(200)
  @RequirePermission('run:cancel', { space: 'run' })
  @Answers(200, runSummarySchema)
  free(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: freeCapacityRequestSchema }) body: { reason: string },
  ): Promise<RunSummary> {
    return this.runner.write(caller, (context) => freeCapacityOfRun(context, id, body));
  }
}
