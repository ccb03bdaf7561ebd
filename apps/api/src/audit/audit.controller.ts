import { Controller, Get, Inject, Query, Res } from '@nestjs/common';
import {
  auditCheckpointSchema,
  auditKeySchema,
  auditRecordSchema,
  listAuditQuerySchema,
  pageOf,
  pageQuerySchema,
  spaceQuerySchema,
} from '@fettle/contracts';
import type { AuditCheckpoint, AuditKey, AuditRecordView, ListAuditQuery, Page, PageQuery } from '@fettle/contracts';
import { exportAudit, listAudit, listCheckpoints, requireEverywhere } from '@fettle/operations';
import { DataSource } from 'typeorm';
import { sendLines } from '../common/send-lines.js';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller, FettleResponse } from '../common/request.js';
import { API_SETTINGS, type ApiSettings } from '../settings.js';
import { readAuditKey } from './audit-key.js';

@Resource('audit')
@Controller('api/v1/audit')
export class AuditController {
  constructor(
    private readonly runner: OperationRunner,
    private readonly dataSource: DataSource,
    @Inject(API_SETTINGS) private readonly settings: ApiSettings,
  ) {}

  @Get()
  @RequirePermission('audit:read')
  @Answers(200, pageOf(auditRecordSchema))
  list(@Query({ schema: listAuditQuerySchema }) query: ListAuditQuery): Promise<Page<AuditRecordView>> {
    return this.runner.read((transaction) => listAudit(transaction, query));
  }

  /** The whole log of all spaces as NDJSON, for `fettle audit verify`; the last line has the type `end`. */
  @Get('export')
  @RequirePermission('audit:read')
  @Answers(200, undefined, 'NDJSON: lines of type record, checkpoint and, at the end, end')
  async export(
    @CurrentCaller() caller: Caller,
    @Query({ schema: spaceQuerySchema }) _query: unknown,
    @Res() response: FettleResponse,
  ): Promise<void> {
    await this.runner.readAs(caller, (context) => requireEverywhere(context, 'audit:read'));
    return sendLines(response, exportAudit(this.dataSource.manager));
  }

  @Get('checkpoints')
  @RequirePermission('audit:read')
  @Answers(200, pageOf(auditCheckpointSchema))
  checkpoints(@Query({ schema: pageQuerySchema }) query: PageQuery): Promise<Page<AuditCheckpoint>> {
    return this.runner.read((transaction) => listCheckpoints(transaction, query));
  }

  @Get('key')
  @RequirePermission('audit:read')
  @Answers(200, auditKeySchema)
  key(): Promise<AuditKey> {
    return readAuditKey(this.settings);
  }
}
