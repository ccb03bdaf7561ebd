import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import {
  createdTokenSchema,
  createTokenRequestSchema,
  idParamSchema,
  listTokensQuerySchema,
  pageOf,
  tokenSchema,
} from '@fettle/contracts';
import type { CreatedToken, ListTokensQuery, Page, Token } from '@fettle/contracts';
import { createToken, listTokens, revokeToken } from '@fettle/operations';
import type { CreateTokenRequest } from '@fettle/operations';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('tokens')
@Controller('api/v1/tokens')
export class TokensController {
  constructor(private readonly runner: OperationRunner) {}

  /** The answer holds the token in clear, this once. */
  @Post()
  @RequirePermission('token:write', { space: 'any' })
  @Answers(201, createdTokenSchema)
  create(
    @CurrentCaller() caller: Caller,
    @Body({ schema: createTokenRequestSchema }) body: CreateTokenRequest,
  ): Promise<CreatedToken> {
    return this.runner.writeRights(caller, (context) => createToken(context, body));
  }

  @Get()
  @RequirePermission('principal:read')
  @Answers(200, pageOf(tokenSchema))
  list(@Query({ schema: listTokensQuerySchema }) query: ListTokensQuery): Promise<Page<Token>> {
    return this.runner.read((transaction) => listTokens(transaction, query));
  }

  @Post(':id/revoke')
  @HttpCode(200)
  @RequirePermission('token:write', { space: 'any' })
  @Answers(200, tokenSchema)
  revoke(@CurrentCaller() caller: Caller, @Param({ schema: idParamSchema }) { id }: { id: string }): Promise<Token> {
    return this.runner.writeRights(caller, (context) => revokeToken(context, id));
  }
}
