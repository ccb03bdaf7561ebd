import { FettleError } from '@fettle/contracts';
import type { TemporalClient } from './connect.js';

const CALL_TIMEOUT_MS = 15_000;
/** Temporal's numbers of a version's drainage. */
const drainages = ['', 'draining', 'drained'] as const;

/** A build that has workers, or had some. */
export interface DeployedBuild {
  readonly buildId: string;
  readonly isCurrent: boolean;
  /** Null: it is current, or never was; `drained`: no run is pinned to it any more, and its workers may be stopped. */
  readonly drainage: 'draining' | 'drained' | null;
}

/** Temporal was seen to say of a deployment that is there that it is not, while its versions changed. */
const NOT_FOUND_TIMES = 4;
const NOT_FOUND_PAUSE_MS = 400;

/** The builds of a deployment; empty where no worker of it has come yet. */
export async function listBuilds(temporal: TemporalClient, deploymentName: string): Promise<readonly DeployedBuild[]> {
  for (let times = 1; ; times += 1) {
    const builds = await describeBuilds(temporal, deploymentName);
    if (builds !== null || times === NOT_FOUND_TIMES) return builds ?? [];
    await new Promise((resolve) => setTimeout(resolve, NOT_FOUND_PAUSE_MS));
  }
}

/** Null: Temporal says that there is no such deployment. */
async function describeBuilds(
  { client }: TemporalClient,
  deploymentName: string,
): Promise<readonly DeployedBuild[] | null> {
  const { namespace } = client.options;
  try {
    const { workerDeploymentInfo: info } = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      client.workflowService.describeWorkerDeployment({ namespace, deploymentName }),
    );
    const current = info?.routingConfig?.currentDeploymentVersion?.buildId ?? null;
    return (info?.versionSummaries ?? []).flatMap(({ deploymentVersion, drainageInfo, drainageStatus }) => {
      const buildId = deploymentVersion?.buildId ?? '';
      const status = drainages[Number(drainageInfo?.status ?? drainageStatus ?? 0)] ?? '';
      return buildId === ''
        ? []
        : [{ buildId, isCurrent: buildId === current, drainage: status === '' ? null : status }];
    });
  } catch (error) {
    if ((error as { code?: unknown }).code === NOT_FOUND) return null;
    throw error;
  }
}

/** gRPC's NOT_FOUND. */
const NOT_FOUND = 5;

/**
 * Makes a build the one that new runs begin on; those that have begun stay where they are.
 * @throws FettleError `not-found` where no worker of that build has come yet
 */
export async function promoteBuild({ client }: TemporalClient, deploymentName: string, buildId: string): Promise<void> {
  const { namespace } = client.options;
  try {
    await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      client.workflowService.setWorkerDeploymentCurrentVersion({
        namespace,
        deploymentName,
        buildId,
        identity: 'fettle',
      }),
    );
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code !== NOT_FOUND && code !== FAILED_PRECONDITION) throw error;
    throw new FettleError({
      code: 'not-found',
      message: `No worker of build ${buildId} has come to deployment ${deploymentName} yet.`,
      remedy: 'Start its workers first.',
      cause: error,
    });
  }
}

/** gRPC's FAILED_PRECONDITION. */
const FAILED_PRECONDITION = 9;
