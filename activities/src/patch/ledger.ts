import { FettleError, type FirstSeen, type HostPackages, type TestedVersions } from '@fettle/contracts';
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
import {
  baselinesOf,
  findBaseline,
  keepTested,
  testedFor,
  type AssetBaseline,
  type KeptTestedSet,
} from '@fettle/operations';
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
  /** The baseline of this name; of none: the asset's own. @throws FettleError `baseline-missing` */
  baseline(name: string): Promise<AssetBaseline>;
  /** What of a tested set is for this host; null: no host of its release is among those that tested. @throws FettleError `tested-set-missing` */
  tested(digest: string, host: HostPackages): Promise<TestedVersions | null>;
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
export type PatchLookup = Pick<PatchLedger, 'firstSeen' | 'baseline' | 'tested'>;

/** Versions that hosts were well with, of the runs of one space. */
export interface TestedSets {
  /** What the hosts run that came through this run. @throws FettleError `nothing-tested` */
  keep(runId: string): Promise<KeptTestedSet>;
}

type Services = Pick<WorkerServices, 'dataSource'>;

function work<Result>(services: Services, does: (transaction: Transaction) => Promise<Result>): Promise<Result> {
  return withDatabasePatience(() => services.dataSource.transaction(does));
}

export function patchLookup(services: Services, space: string, assetId: string): PatchLookup {
  return {
    firstSeen: (host) => work(services, (transaction) => patchesFirstSeen(transaction, space, host)),
    tested: (digest, host) => work(services, (transaction) => testedFor(transaction, space, digest, host)),
    baseline: (name) =>
      work(services, async (transaction) =>
        name === ''
          ? (await baselinesOf(transaction, space, [assetId]))(assetId)
          : findBaseline(transaction, space, name).catch((error: unknown) => {
              if (!(error instanceof FettleError) || error.code !== 'not-found') throw error;
              const { message, remedy } = error;
              const detail = { mayHaveStarted: false };
              throw new FettleError({ code: 'baseline-missing', message, remedy, detail, cause: error });
            }),
      ),
  };
}

export function testedSets(services: Services, space: string): TestedSets {
  return { keep: (runId) => work(services, (transaction) => keepTested(transaction, space, runId)) };
}

export function patchLedger(
  services: Services,
  { runId, space }: { readonly runId: string; readonly space: string },
  assetId: string,
): PatchLedger {
  return {
    ...patchLookup(services, space, assetId),
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
