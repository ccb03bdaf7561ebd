import { Body, Controller, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import {
  credentialParamSchema,
  credentialSchema,
  pageOf,
  pageQuerySchema,
  rotateResultSchema,
  setCredentialRequestSchema,
  spaceOnlyQuerySchema,
} from '@fettle/contracts';
import type { Credential, Page, PageQuery, SetCredentialRequest } from '@fettle/contracts';
import { listCredentials, rotateCredentials, setCredential } from '@fettle/operations';
import type { z } from 'zod';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';
import { SealingKeys } from './sealing-keys.js';

@Resource('credentials')
@Controller('api/v1/credentials')
export class CredentialsController {
  constructor(
    private readonly runner: OperationRunner,
    private readonly keys: SealingKeys,
  ) {}

  /** Everything but the values, which no route gives back. */
  @Get()
  @RequirePermission('credential:read')
  @Answers(200, pageOf(credentialSchema))
  list(@Query({ schema: pageQuerySchema }) query: PageQuery): Promise<Page<Credential>> {
    return this.runner.read((transaction) => listCredentials(transaction, query));
  }

  @Put(':name')
  @RequirePermission('credential:write')
  @Answers(200, credentialSchema)
  async set(
    @CurrentCaller() caller: Caller,
    @Param({ schema: credentialParamSchema }) { name }: z.output<typeof credentialParamSchema>,
    @Query({ schema: spaceOnlyQuerySchema }) { space }: z.output<typeof spaceOnlyQuerySchema>,
    @Body({ schema: setCredentialRequestSchema }) body: SetCredentialRequest,
  ): Promise<Credential> {
    const keyring = await this.keys.load();
    return this.runner.write(caller, (context) => setCredential(context, keyring, { space, name }, body));
  }

  /** Seals what an older key sealed with the current one. */
  @Post('rotate')
  @HttpCode(200)
  @RequirePermission('credential:write', { space: 'any' })
  @Answers(200, rotateResultSchema)
  async rotate(@CurrentCaller() caller: Caller): Promise<z.output<typeof rotateResultSchema>> {
    const keyring = await this.keys.load();
    return this.runner.write(caller, (context) => rotateCredentials(context, keyring));
  }
}
