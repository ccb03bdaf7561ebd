import { FettleError, type HostPackages, type PackageManager, type TestedVersions } from '@fettle/contracts';
import {
  countTestedHosts,
  findTestedVersions,
  keepTestedSet,
  readTestedVersions,
  type TestedVersionRow,
  type Transaction,
} from '@fettle/database';
import { digestOf } from '@fettle/runbook';

/** A set of versions that hosts of a run were well with. */
export interface KeptTestedSet {
  readonly digest: string;
  readonly hosts: number;
  /** Hosts that came through the run, those without a scan of the run included. */
  readonly succeeded: number;
  readonly releases: readonly string[];
  readonly packages: number;
  readonly updates: number;
}

/**
 * Hosts under one key install each other's versions. The minor releases of systems with dnf follow each other in the same sources: the
 * first host that is patched there is of the next one, and those that are to follow it are not yet.
 */
export function testedKey(manager: PackageManager, release: string): string {
  return `${manager} ${manager === 'dnf' ? release.replace(/^(\S+ [0-9]+)\..*$/, '$1') : release}`;
}

/**
 * Keeps what is installed on the hosts that came through a run: what the run installed there, what came along with it, and what was
 * there already. The list stays in the database; its digest names it.
 * @throws FettleError `nothing-tested`
 */
export async function keepTested(transaction: Transaction, space: string, runId: string): Promise<KeptTestedSet> {
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(runId);
  const none = { hosts: 0, succeeded: 0, updates: 0 };
  const { hosts, succeeded, updates } = isId ? await countTestedHosts(transaction, space, runId) : none;
  if (hosts === 0) {
    throw new FettleError({
      code: 'nothing-tested',
      message: `No host of the space "${space}" came through the run ${runId} with a scan of that run that tells its release.`,
      remedy:
        'Name a run that scanned or patched its hosts; where another run has scanned them since, what they run was not tested by this one.',
      detail: { mayHaveStarted: false },
    });
  }
  const rows = await readTestedVersions(transaction, space, runId);
  const packages = packagesOf(rows);
  const digest = digestOf(packages);
  await keepTestedSet(transaction, { space, digest, runId }, packages);
  const releases = [...new Set(rows.map(({ release }) => release))];
  const count = Object.values(packages).flatMap((all) => Object.values(all).flat()).length;
  return { digest, hosts, succeeded, releases, packages: count, updates };
}

function packagesOf(rows: readonly TestedVersionRow[]): Record<string, Record<string, string[]>> {
  const packages: Record<string, Record<string, string[]>> = {};
  for (const { manager, release, name, architecture, version } of rows) {
    const ofRelease = (packages[testedKey(manager, release)] ??= {});
    const versions = (ofRelease[`${name}:${architecture}`] ??= []);
    if (!versions.includes(version)) versions.push(version);
  }
  return packages;
}

/**
 * What of a set is for a host; null: its release is not known, or was not among the hosts that tested.
 * @throws FettleError `tested-set-missing`
 */
export async function testedFor(
  transaction: Transaction,
  space: string,
  digest: string,
  { manager, release }: Pick<HostPackages, 'manager' | 'release'>,
): Promise<TestedVersions | null> {
  const found = await findTestedVersions(transaction, { space, digest, key: testedKey(manager, release ?? '') });
  if (found === null) {
    throw new FettleError({
      code: 'tested-set-missing',
      message: `There is no tested set ${digest} in the space "${space}".`,
      remedy: 'Make one by the action patch.tested; a set is kept for 400 days.',
      detail: { mayHaveStarted: false },
    });
  }
  const { versions } = found;
  return versions === null ? null : new Map(Object.entries(versions).map(([key, all]) => [key, new Set(all)]));
}
