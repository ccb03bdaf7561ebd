import { listUnservedRuns } from '@fettle/database';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';

/**
 * Says which open runs no worker that is there now can go on with, this one included: they wait until such a worker comes, or
 * someone cancels them. The API's metric `fettle_runs_unserved` says the same at any time.
 */
export async function warnOfUnserved(dataSource: DataSource, logger: Pick<Logger, 'warn'>): Promise<void> {
  try {
    for (const { engineVersion, workerBuild, count } of await listUnservedRuns(dataSource.manager)) {
      logger.warn({ engineVersion, workerBuild, count }, unservedText(workerBuild));
    }
  } catch (error) {
    // It is a courtesy: a database that fails is told of by all that needs it.
    logger.warn({ err: error }, 'nobody could look which open runs need other workers');
  }
}

function unservedText(workerBuild: string | null): string {
  return workerBuild === null
    ? 'open runs need unversioned workers of another engine version; start such workers, or cancel the runs'
    : 'open runs are pinned to a build without workers; start workers of that build, or cancel the runs';
}
