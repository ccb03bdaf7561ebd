import { findRunRequester, countAssetRows, ASSET_COUNT_FIRST_PARAMETER, type Transaction } from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { assetCondition } from './asset-scope.js';
import { requesterContext } from './start-sub-run.js';

/**
 * How many assets of the run's space a selector selects, of those that whoever requested the run may see now.
 * @throws FettleError `invalid-expression`, `denied`
 */
export async function countAssets(transaction: Transaction, runId: string, on: string): Promise<number> {
  const selector = parseSelector(on, { origin: 'on' });
  const run = await findRunRequester(transaction, runId);
  if (run === null) throw new Error(`there is no run ${runId}`);
  const { scopeOf } = await requesterContext(transaction, run);
  const condition = assetCondition(selector, scopeOf('asset:read', run.space), ASSET_COUNT_FIRST_PARAMETER);
  return countAssetRows(transaction, run.space, condition);
}
