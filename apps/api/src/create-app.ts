import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import { DiscoveryService, MetadataScanner, NestFactory, Reflector } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { createDataSource } from '@fettle/database';
import { ensureLocalAdmin } from '@fettle/operations';
import { loadKeyFile } from '@fettle/security';
import type { DataSource } from 'typeorm';
import { uuidv7 } from 'uuidv7';
import { AppModule } from './app.module.js';
import { readBodies } from './common/body.js';
import { assertRoutesDeclareAccess } from './common/check-routes.js';
import { ApiLogger } from './common/logger.js';
import { serveOpenApi } from './common/openapi.js';
import { assignRequestId } from './common/request-id.js';
import type { ApiSettings } from './settings.js';
import { Metrics } from './system/metrics.js';

export interface Api {
  readonly app: NestExpressApplication;
  readonly logger: ApiLogger;
  /** Ends streams, stops listening, lets requests under way finish for at most three seconds, closes the database. */
  readonly close: () => Promise<void>;
}

const closeGraceMs = 3000;

/** Builds the API without listening. `extraControllers` are for tests of what every controller must obey. */
export async function createApi(settings: ApiSettings, extraControllers: Type[] = []): Promise<Api> {
  const logger = new ApiLogger(settings.logLevel);
  const dataSource = await createDataSource({
    url: settings.databaseUrl,
    poolSize: settings.databasePoolSize,
    applicationName: 'fettle-api',
  });
  try {
    await bootstrap(settings, dataSource, logger);
    const app = await build(settings, dataSource, logger, extraControllers);
    return { app, logger, close: () => close(app, dataSource) };
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
}

async function build(
  settings: ApiSettings,
  dataSource: DataSource,
  logger: ApiLogger,
  extraControllers: Type[],
): Promise<NestExpressApplication> {
  const module = AppModule.of(settings, dataSource, logger, { controllers: extraControllers });
  const app = await NestFactory.create<NestExpressApplication>(module, {
    logger,
    bodyParser: false,
    abortOnError: false,
  });
  assertRoutesDeclareAccess(app.get(DiscoveryService), app.get(MetadataScanner), app.get(Reflector));
  app.disable('x-powered-by');
  app.set('etag', false);
  // Plain `a=b` pairs: a query never becomes nested objects.
  app.set('query parser', 'simple');
  app.use(assignRequestId);
  app.use(app.get(Metrics).observe);
  readBodies(app);
  serveOpenApi(app);
  await app.init();
  return app;
}

/** Makes the token of the owner-only file the local admin's sign-in. */
async function bootstrap(settings: ApiSettings, dataSource: DataSource, logger: ApiLogger): Promise<void> {
  if (settings.bootstrapTokenFile === undefined) return;
  const token = (await loadKeyFile(settings.bootstrapTokenFile)).trim();
  const changed = await dataSource.transaction((transaction) =>
    ensureLocalAdmin(
      {
        transaction,
        actor: { principalId: null, name: 'system', kind: 'system', requestId: uuidv7() },
        scopeOf: () => null,
      },
      token,
    ),
  );
  if (changed) logger.info('the bootstrap token signs in local-admin');
}

async function close(app: NestExpressApplication, dataSource: DataSource): Promise<void> {
  const server = app.getHttpServer();
  const force = setTimeout(() => server.closeAllConnections(), closeGraceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(force);
    await dataSource.destroy();
  }
}
