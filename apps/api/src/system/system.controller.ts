import { Controller, Get, Query } from '@nestjs/common';
import { FettleError, spaceQuerySchema, whoamiSchema } from '@fettle/contracts';
import type { SpaceQuery, Whoami } from '@fettle/contracts';
import { migrations } from '@fettle/migrations';
import { decide, permissions } from '@fettle/security';
import { DataSource } from 'typeorm';
import { Answers, Resource } from '../common/openapi.js';
import { CurrentCaller, Public, SignedIn } from '../common/permission.js';
import type { Caller } from '../common/request.js';

@Resource('system')
@Controller()
export class SystemController {
  constructor(private readonly dataSource: DataSource) {}

  /** The process runs. */
  @Get('healthz')
  @Public()
  @Answers(200)
  health(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** The process can serve: the database answers and has this version's schema. */
  @Get('readyz')
  @Public()
  @Answers(200)
  async ready(): Promise<{ status: 'ready' }> {
    const newest = migrations.at(-1)?.name ?? '';
    // Without its table the database is empty: as little ready as with an old schema.
    const table: { found: boolean }[] = await this.dataSource.query(
      `SELECT to_regclass('migration') IS NOT NULL AS found`,
    );
    const rows: { found: boolean }[] = table[0]?.found
      ? await this.dataSource.query(`SELECT EXISTS (SELECT 1 FROM migration WHERE name = $1) AS found`, [newest])
      : [];
    if (rows[0]?.found) return { status: 'ready' };
    throw new FettleError({
      code: 'unavailable',
      message: `The database has not the schema of this version: ${newest} is not applied.`,
      remedy: 'Run: node apps/worker/dist/migrate.js',
    });
  }

  @Get('api/v1/whoami')
  @SignedIn()
  @Answers(200, whoamiSchema)
  whoami(@CurrentCaller() { principal }: Caller, @Query({ schema: spaceQuerySchema }) { space }: SpaceQuery): Whoami {
    const { id, name, kind, bindings } = principal;
    const held = permissions.filter((permission) => decide({ bindings, permission, space }).allowed);
    return { id, name, kind, bindings: [...bindings], permissions: held };
  }
}
