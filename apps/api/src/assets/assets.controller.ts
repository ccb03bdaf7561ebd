import { Body, Controller, Get, HttpCode, Param, Post, Put, Query, Req, Res } from '@nestjs/common';
import {
  assetDetailSchema,
  assetPageSchema,
  assetParamSchema,
  assetSchema,
  enrolRequestSchema,
  enrolResultSchema,
  importQuerySchema,
  importResultSchema,
  listAssetsQuerySchema,
  retireAssetRequestSchema,
  setAssetRequestSchema,
  spaceOnlyQuerySchema,
} from '@fettle/contracts';
import type {
  Asset,
  AssetDetail,
  AssetPage,
  EnrolRequest,
  EnrolResult,
  ImportQuery,
  ImportResult,
  ListAssetsQuery,
  SetAssetRequest,
} from '@fettle/contracts';
import { getAsset, listAssets, retireAsset, setAsset } from '@fettle/operations';
import type { z } from 'zod';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller, FettleRequest, FettleResponse } from '../common/request.js';
import { Enrolments } from './enrolments.js';
import { Imports } from './imports.js';

type Named = z.output<typeof assetParamSchema>;
type InSpace = z.output<typeof spaceOnlyQuerySchema>;

@Resource('assets')
@Controller('api/v1/assets')
export class AssetsController {
  constructor(
    private readonly runner: OperationRunner,
    private readonly enrolments: Enrolments,
    private readonly imports: Imports,
  ) {}

  @Get()
  @RequirePermission('asset:read')
  @Answers(200, assetPageSchema)
  list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: listAssetsQuerySchema }) query: ListAssetsQuery,
  ): Promise<AssetPage> {
    return this.runner.readAs(caller, (context) => listAssets(context, query));
  }

  /** NDJSON, a row a line; all rows or none. One at a time in a process: 503 while another is under way. */
  @Post('import')
  @HttpCode(200)
  @RequirePermission('asset:import')
  @Answers(200, importResultSchema)
  import(
    @CurrentCaller() caller: Caller,
    @Query({ schema: importQuerySchema }) query: ImportQuery,
    @Req() request: FettleRequest,
    @Res({ passthrough: true }) response: FettleResponse,
  ): Promise<ImportResult> {
    return this.imports.import(caller, query, request, response);
  }

  @Get(':name')
  @RequirePermission('asset:read')
  @Answers(200, assetDetailSchema)
  get(
    @CurrentCaller() caller: Caller,
    @Param({ schema: assetParamSchema }) { name }: Named,
    @Query({ schema: spaceOnlyQuerySchema }) { space }: InSpace,
  ): Promise<AssetDetail> {
    return this.runner.readAs(caller, (context) => getAsset(context, { space, name }));
  }

  @Put(':name')
  @RequirePermission('asset:write')
  @Answers(200, assetSchema)
  set(
    @CurrentCaller() caller: Caller,
    @Param({ schema: assetParamSchema }) { name }: Named,
    @Query({ schema: spaceOnlyQuerySchema }) { space }: InSpace,
    @Body({ schema: setAssetRequestSchema }) body: SetAssetRequest,
  ): Promise<Asset> {
    return this.runner.write(caller, (context) => setAsset(context, { space, name }, body));
  }

  @Post(':name/retire')
  @HttpCode(200)
  @RequirePermission('asset:write')
  @Answers(200, assetSchema)
  retire(
    @CurrentCaller() caller: Caller,
    @Param({ schema: assetParamSchema }) { name }: Named,
    @Query({ schema: spaceOnlyQuerySchema }) { space }: InSpace,
    @Body({ schema: retireAssetRequestSchema }) body: z.output<typeof retireAssetRequestSchema>,
  ): Promise<Asset> {
    return this.runner.write(caller, (context) => retireAsset(context, { space, name }, body));
  }

  /** Waits until a worker has looked at the host, for at most 20 seconds. */
  @Post(':name/enrol')
  @HttpCode(200)
  @RequirePermission('asset:write')
  @Answers(200, enrolResultSchema)
  enrol(
    @CurrentCaller() caller: Caller,
    @Param({ schema: assetParamSchema }) { name }: Named,
    @Query({ schema: spaceOnlyQuerySchema }) { space }: InSpace,
    @Body({ schema: enrolRequestSchema }) body: EnrolRequest,
  ): Promise<EnrolResult> {
    return this.enrolments.enrol(caller, { space, name }, body);
  }
}
