import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  approvalDetailSchema,
  approvalSchema,
  approveRequestSchema,
  idParamSchema,
  listApprovalsQuerySchema,
  pageOf,
  rejectRequestSchema,
} from '@fettle/contracts';
import type {
  Approval,
  ApprovalDetail,
  ApproveRequest,
  ListApprovalsQuery,
  Page,
  RejectRequest,
} from '@fettle/contracts';
import { decideApproval, getApproval, listApprovals } from '@fettle/operations';
import { z } from 'zod';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

/** Steps of a plan hold steps, which the API document cannot say; `docs/reference/plan.md` does. */
const detailSchema = approvalDetailSchema.extend({ plan: z.looseObject({ digest: z.string() }).nullable() });

/**
 * What runs ask people for. Who may read a run may see what it asks; who may decide says the step, so that no permission of a role does.
 */
@Resource('approvals')
@Controller('api/v1/approvals')
export class ApprovalsController {
  constructor(private readonly runner: OperationRunner) {}

  @Get()
  @RequirePermission('run:read')
  @Answers(200, pageOf(approvalSchema))
  list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: listApprovalsQuerySchema }) query: ListApprovalsQuery,
  ): Promise<Page<Approval>> {
    return this.runner.readAs(caller, (context) => listApprovals(context, query));
  }

  /** With the plan that it is about, and whether the caller may decide. */
  @Get(':id')
  @RequirePermission('run:read', { space: 'any' })
  @Answers(200, detailSchema)
  show(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
  ): Promise<ApprovalDetail> {
    return this.runner.readAs(caller, (context) => getApproval(context, id));
  }

  /** The answer's `state` tells whether it is approved now, still open, or void because the plan has drifted. */
  @Post(':id/approve')
  @HttpCode(200)
  @RequirePermission('run:read', { space: 'any' })
  @Answers(200, approvalSchema)
  approve(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: approveRequestSchema }) body: ApproveRequest,
  ): Promise<Approval> {
    return this.runner.write(caller, (context) => decideApproval(context, id, { ...body, decision: 'approve' }));
  }

  @Post(':id/reject')
  @HttpCode(200)
  @RequirePermission('run:read', { space: 'any' })
  @Answers(200, approvalSchema)
  reject(
    @CurrentCaller() caller: Caller,
    @Param({ schema: idParamSchema }) { id }: { id: string },
    @Body({ schema: rejectRequestSchema }) body: RejectRequest,
  ): Promise<Approval> {
    return this.runner.write(caller, (context) => decideApproval(context, id, { ...body, decision: 'reject' }));
  }
}
