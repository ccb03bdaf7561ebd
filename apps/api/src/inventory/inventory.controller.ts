import { Controller, Get, Query } from '@nestjs/common';
import { ansibleInventoryQuerySchema, type AnsibleInventoryQuery } from '@fettle/contracts';
import { ansibleInventory } from '@fettle/operations';
import { z } from 'zod';
import { Answers, Resource } from '../common/openapi.js';
import { OperationRunner } from '../common/operation-runner.js';
import { CurrentCaller, RequirePermission } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('assets')
@Controller('api/v1/inventory')
export class InventoryController {
  constructor(private readonly runner: OperationRunner) {}

  /** What `ansible-inventory` and Ansible's script plugin take from `--list`. */
  @Get('ansible')
  @RequirePermission('asset:read')
  @Answers(200, z.record(z.string(), z.unknown()))
  ansible(
    @CurrentCaller() caller: Caller,
    @Query({ schema: ansibleInventoryQuerySchema }) query: AnsibleInventoryQuery,
  ): Promise<object> {
    return this.runner.readAs(caller, (context) => ansibleInventory(context, query));
  }
}
