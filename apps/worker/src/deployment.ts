// `node apps/worker/dist/deployment.js status | promote [BUILD] | drained BUILD`: the builds of this deployment's workers.
// `status` prints a line each; `promote` has new runs begin on a build (default: the one that is installed here) and waits until
// its workers have come; `drained` ends with 0 once no run is pinned to the build any more, and with 1 while some are.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '@fettle/config';
import { FettleError } from '@fettle/contracts';
import { connectTemporal, listBuilds, promoteBuild, type TemporalClient } from '@fettle/temporal';
import { deploymentVersion, readEngineVersion } from './engine-version.js';

/** Workers that were started beside this need some seconds. */
const PATIENCE_MS = 60_000;
const USAGE = 'usage: deployment.js status | promote [BUILD] | drained BUILD\n';

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

async function promote({ temporal, name, ownBuild }: Deployment, build = ownBuild): Promise<number> {
  for (const giveUpAtMs = Date.now() + PATIENCE_MS; ; await sleep(500)) {
    try {
      await promoteBuild(temporal, name, build);
      process.stdout.write(`new runs begin on ${build}\n`);
      return 0;
    } catch (error) {
      if (!(error instanceof FettleError) || Date.now() > giveUpAtMs) throw error;
    }
  }
}

async function tellDrained({ temporal, name }: Deployment, build: string): Promise<number> {
  const found = (await listBuilds(temporal, name)).find(({ buildId }) => buildId === build);
  process.stdout.write(`${build} ${found === undefined ? 'unknown' : (found.drainage ?? 'not draining')}\n`);
  return found?.drainage === 'drained' ? 0 : 1;
}

async function main([verb, build]: readonly string[]): Promise<number> {
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
    if (verb === 'promote') return await promote(deployment, build);
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
  process.exitCode = 1;
}
