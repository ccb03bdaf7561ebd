import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { PermissionGuard } from '../common/permission.guard.js';
import { Public } from '../common/permission.js';
import type { FettleRequest, FettleResponse } from '../common/request.js';
import { API_SETTINGS, type ApiSettings } from '../settings.js';
import { Metrics } from './metrics.js';

@ApiExcludeController()
@Controller('metrics')
export class MetricsController {
  constructor(
    private readonly metrics: Metrics,
    private readonly guard: PermissionGuard,
    @Inject(API_SETTINGS) private readonly settings: ApiSettings,
  ) {}

  /** Needs the permission `system:read`, unless FETTLE_METRICS_PUBLIC says that anybody who reaches the port may read. */
  @Get()
  @Public()
  async read(@Req() request: FettleRequest, @Res() response: FettleResponse): Promise<void> {
    if (!this.settings.metricsPublic) await this.guard.require(request, 'system:read');
    const text = await this.metrics.text();
    response.setHeader('content-type', this.metrics.registry.contentType);
    response.end(text);
  }
}
