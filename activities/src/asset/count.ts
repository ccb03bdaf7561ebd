import { FettleError } from '@fettle/contracts';
import { countAssets } from '@fettle/operations';
import { assetCount } from '../contracts.js';
import { controlAction } from '../implementation.js';
import { withDatabasePatience } from '../run/database-retry.js';
import type { WorkerServices } from '../run/services.js';

/** How many assets a selector selects, of those that whoever requested the run may see. */
export type CountAssets = (on: string) => Promise<number>;

export const countSelected = controlAction(assetCount, async ({ on }, { countAssets: count }) => {
  if (count === null) {
    throw new FettleError({ code: 'no-run', message: 'The action asset.count belongs into the steps of a runbook.' });
  }
  return { state: 'succeeded', exitCode: null, error: null, output: { count: await count(on) } };
});

export function assetCounter({ dataSource }: Pick<WorkerServices, 'dataSource'>, runId: string): CountAssets {
  return (on) =>
    withDatabasePatience(() => dataSource.transaction((transaction) => countAssets(transaction, runId, on)));
}
