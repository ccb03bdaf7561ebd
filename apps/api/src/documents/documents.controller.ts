import { Body, Controller, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import {
  applyRequestSchema,
  applyResultSchema,
  documentDetailSchema,
  documentPageSchema,
  documentParamSchema,
  documentQuerySchema,
  exportDocumentsQuerySchema,
  listDocumentsQuerySchema,
  pageQuerySchema,
} from '@fettle/contracts';
import type {
  ApplyResult,
  DocumentDetail,
  DocumentKind,
  DocumentQuery,
  DocumentSummary,
  ExportDocumentsQuery,
  ListDocumentsQuery,
  Page,
  PageQuery,
} from '@fettle/contracts';
import { applyDocuments, exportDocuments, getDocument, listDocuments, listVersions } from '@fettle/operations';
import type { ApplyRequest } from '@fettle/operations';
import { DataSource } from 'typeorm';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller, FettleResponse } from '../common/request.js';
import { sendText } from '../common/send-lines.js';

interface DocumentParam {
  readonly kind: DocumentKind;
  readonly name: string;
}

@Resource('documents')
@Controller('api/v1/documents')
export class DocumentsController {
  constructor(
    private readonly runner: OperationRunner,
    private readonly dataSource: DataSource,
  ) {}

  /** All documents of the source, or none; `dryRun` writes nothing and shows what would change. */
  @Post('apply')
  @HttpCode(200)
  @RequirePermission('document:write', { space: 'any' })
  @Answers(200, applyResultSchema)
  apply(
    @CurrentCaller() caller: Caller,
    @Body({ schema: applyRequestSchema }) body: ApplyRequest,
  ): Promise<ApplyResult> {
    return this.runner.write(caller, (context) => applyDocuments(context, body));
  }

  @Get()
  @RequirePermission('document:read')
  @Answers(200, documentPageSchema)
  list(@Query({ schema: listDocumentsQuerySchema }) query: ListDocumentsQuery): Promise<Page<DocumentSummary>> {
    return this.runner.read((transaction) => listDocuments(transaction, query));
  }

  /** Current versions as their authors wrote them: one YAML source to apply again. */
  @Get('export')
  @RequirePermission('document:read')
  @Answers(200, undefined, 'YAML')
  export(
    @Query({ schema: exportDocumentsQuerySchema }) query: ExportDocumentsQuery,
    @Res() response: FettleResponse,
  ): Promise<void> {
    return sendText(response, 'application/yaml; charset=utf-8', exportDocuments(this.dataSource.manager, query));
  }

  @Get(':kind/:name')
  @RequirePermission('document:read')
  @Answers(200, documentDetailSchema)
  show(
    @Param({ schema: documentParamSchema }) { kind, name }: DocumentParam,
    @Query({ schema: documentQuerySchema }) { space, version }: DocumentQuery,
  ): Promise<DocumentDetail> {
    return this.runner.read((transaction) => getDocument(transaction, { space, kind, name }, version));
  }

  @Get(':kind/:name/versions')
  @RequirePermission('document:read')
  @Answers(200, documentPageSchema)
  versions(
    @Param({ schema: documentParamSchema }) { kind, name }: DocumentParam,
    @Query({ schema: pageQuerySchema }) query: PageQuery,
  ): Promise<Page<DocumentSummary>> {
    return this.runner.read((transaction) => listVersions(transaction, { space: query.space, kind, name }, query));
  }
}
