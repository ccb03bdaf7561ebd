// `node apps/worker/dist/deployment.js status | promote [BUILD] [--wait SECONDS] | drained BUILD`: the builds of this deployment's
// workers. `status` prints a line each; `promote` has new runs begin on a build (default: the one that is installed here), waits for
// its workers, 60 s if nothing else is said, and ends with 1 where none came; `drained` ends with 0 once no run is pinned to the
// build any more, and with 1 while some are.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseConfig, type ProcessConfig } from '@fettle/config';
import { FettleError } from '@fettle/contracts';
import { createDataSource, hasWorkersOf } from '@fettle/database';
import { connectTemporal, listBuilds, promoteBuild, type TemporalClient } from '@fettle/temporal';
import { deploymentVersion, readEngineVersion, workerBuild } from './engine-version.js';

/** Workers that were started beside this need some seconds. */
const PATIENCE_SECONDS = 60;
const USAGE = 'usage: deployment.js status | promote [BUILD] [--wait SECONDS] | drained BUILD\n';

interface Deployment {
  readonly temporal: TemporalClient;
  readonly name: string;
  readonly ownBuild: string;
}

async function printBuilds({ temporal, name }: Deployment): Promise<number> {
  for (const { buildId, isCurrent, drainage } of await listBuilds(temporal, name)) {
    process.stdout.write(`${buildId} ${isCurrent ? 'current' : (drainage ?? 'never current')}\n`);
  }
  return 0;
}

/** Temporal would also take a build whose workers have all gone, and new runs would wait for them. */
async function promote(
  { temporal, name, ownBuild }: Deployment,
  { databaseUrl }: ProcessConfig,
  build = ownBuild,
  waitSeconds = PATIENCE_SECONDS,
): Promise<number> {
  const dataSource = await createDataSource({ url: databaseUrl, poolSize: 1, applicationName: 'fettle-deployment' });
  try {
    for (const giveUpAtMs = Date.now() + waitSeconds * 1000; ; await sleep(500)) {
      try {
        await requireWorkers(dataSource.manager, name, build);
        await promoteBuild(temporal, name, build);
        process.stdout.write(`new runs begin on ${build}\n`);
        return 0;
      } catch (error) {
        if (!(error instanceof FettleError) || Date.now() > giveUpAtMs) throw error;
      }
    }
  } finally {
    await dataSource.destroy();
  }
}

async function requireWorkers(
  transaction: Parameters<typeof hasWorkersOf>[0],
  deploymentName: string,
  buildId: string,
): Promise<void> {
  if (await hasWorkersOf(transaction, workerBuild({ deploymentName, buildId }) ?? '')) return;
  throw new FettleError({
    code: 'not-found',
    message: `No worker of build ${buildId} of deployment ${deploymentName} is there now; new runs begin where they did before.`,
    remedy: 'Start its workers first.',
  });
}

async function tellDrained({ temporal, name }: Deployment, build: string): Promise<number> {
  const found = (await listBuilds(temporal, name)).find(({ buildId }) => buildId === build);
  process.stdout.write(`${build} ${found === undefined ? 'unknown' : (found.drainage ?? 'not draining')}\n`);
  return found?.drainage === 'drained' ? 0 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { wait: { type: 'string' } },
    allowPositionals: true,
  });
  const [verb, build] = positionals;
  const wait = values.wait === undefined ? undefined : Number(values.wait);
  if (wait !== undefined && !(wait >= 0 && wait <= 3600)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const config = parseConfig(process.env);
  const version = deploymentVersion(config, await readEngineVersion());
  if (version === null) throw new Error('FETTLE_WORKER_DEPLOYMENT is not set: the workers are not versioned');
  const temporal = connectTemporal({
    address: config.temporalAddress,
    namespace: config.temporalNamespace,
    taskQueue: config.temporalTaskQueue,
  });
  const deployment = { temporal, name: version.deploymentName, ownBuild: version.buildId };
  try {
    if (verb === 'status') return await printBuilds(deployment);
    if (verb === 'promote') return await promote(deployment, config, build, wait);
    if (verb === 'drained' && build !== undefined) return await tellDrained(deployment, build);
    process.stderr.write(USAGE);
    return 2;
  } finally {
    await temporal.close();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof FettleError && error.remedy !== undefined) process.stderr.write(`${error.remedy}\n`);
  process.exitCode = 1;
}
