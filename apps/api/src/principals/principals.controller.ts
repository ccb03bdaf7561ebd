import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  createPrincipalRequestSchema,
  nameParamSchema,
  pageQuerySchema,
  principalPageSchema,
  principalSchema,
} from '@fettle/contracts';
import type { CreatePrincipalRequest, Page, PageQuery, Principal } from '@fettle/contracts';
import { createPrincipal, listPrincipals, revokePrincipal } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('principals')
@Controller('api/v1/principals')
export class PrincipalsController {
  constructor(private readonly runner: OperationRunner) {}

  @Post()
  @RequirePermission('principal:write', { space: 'any' })
  @Answers(201, principalSchema)
  create(
    @CurrentCaller() caller: Caller,
    @Body({ schema: createPrincipalRequestSchema }) body: CreatePrincipalRequest,
  ): Promise<Principal> {
    return this.runner.writeRights(caller, (context) => createPrincipal(context, body));
  }

  @Get()
  @RequirePermission('principal:read')
  @Answers(200, principalPageSchema)
  list(@Query({ schema: pageQuerySchema }) query: PageQuery): Promise<Page<Principal>> {
    return this.runner.read((transaction) => listPrincipals(transaction, query));
  }

  @Post(':name/revoke')
  @HttpCode(200)
  @RequirePermission('principal:write', { space: 'any' })
  @Answers(200, principalSchema)
  revoke(
    @CurrentCaller() caller: Caller,
    @Param({ schema: nameParamSchema }) { name }: { name: string },
  ): Promise<Principal> {
    return this.runner.writeRights(caller, (context) => revokePrincipal(context, name));
  }
}
