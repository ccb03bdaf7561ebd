import type { FirstSeen, HostPackages } from '@fettle/contracts';
import {
  findPatchSelection,
  keepPatchSelection,
  notePatchVersions,
  patchesFirstSeen,
  readPatchSelections,
  savePatchResults,
  savePatchScan,
  type KeptSelection,
  type Transaction,
} from '@fettle/database';
import { withDatabasePatience } from '../run/database-retry.js';
import type { WorkerServices } from '../run/services.js';

/** How one package of a selection ended. */
export interface PatchResult {
  readonly name: string;
  readonly architecture: string;
  readonly from: string;
  readonly to: string;
  readonly state: 'installed' | 'failed';
  /** Why it failed, as the package manager says it. */
  readonly reason?: string | undefined;
}

/** What is kept of patches beside the runs: since when each version is on offer, what hosts said, what was chosen and done. */
export interface PatchLedger {
  /** Keeps what the host said, in place of what it said before. */
  scanned(host: HostPackages): Promise<FirstSeen>;
  /** Keeps nothing. */
  firstSeen(host: HostPackages): Promise<FirstSeen>;
  /** What the attempt is to do, if it was chosen already. */
  chosen(token: string): Promise<KeptSelection | null>;
  /** What all attempts of the step chose, the first one first. */
  chosenBy(stepToken: string): Promise<readonly KeptSelection[]>;
  /** Keeps what the attempt is to do before it begins; gives what was kept first. */
  choose(
    attempt: { readonly token: string; readonly stepToken: string },
    selection: KeptSelection,
  ): Promise<KeptSelection>;
  ended(token: string, results: readonly PatchResult[]): Promise<void>;
}

/** What a probe may see of it. */
export type PatchLookup = Pick<PatchLedger, 'firstSeen'>;

type Services = Pick<WorkerServices, 'dataSource'>;

function work<Result>(services: Services, does: (transaction: Transaction) => Promise<Result>): Promise<Result> {
  return withDatabasePatience(() => services.dataSource.transaction(does));
}

export function patchLookup(services: Services, space: string): PatchLookup {
  return { firstSeen: (host) => work(services, (transaction) => patchesFirstSeen(transaction, space, host)) };
}

export function patchLedger(
  services: Services,
  { runId, space }: { readonly runId: string; readonly space: string },
  assetId: string,
): PatchLedger {
  return {
    ...patchLookup(services, space),
    scanned: (host) =>
      work(services, async (transaction) => {
        await notePatchVersions(transaction, space, host);
        await savePatchScan(transaction, assetId, runId, host);
        return patchesFirstSeen(transaction, space, host);
      }),
    chosen: (token) => work(services, (transaction) => findPatchSelection(transaction, token)),
    chosenBy: (stepToken) => work(services, (transaction) => readPatchSelections(transaction, stepToken)),
    choose: (attempt, selection) =>
      work(services, (transaction) => keepPatchSelection(transaction, { ...attempt, assetId, runId }, selection)),
    ended: (token, results) =>
      work(services, (transaction) =>
        savePatchResults(
          transaction,
          token,
          results.map((one) => ({ ...one })),
        ),
      ),
  };
}
