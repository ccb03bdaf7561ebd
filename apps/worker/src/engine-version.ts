import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ProcessConfig } from '@fettle/config';
import type { ServedBy } from '@fettle/database';
import { ENGINE_VERSION, OLDEST_ENGINE_VERSION } from '@fettle/runbook';
import { workflowBundle } from './replay-histories.js';

/** Digits of a digest that tell one build from another. */
const DIGEST_DIGITS = 12;

/**
 * Which workflows this worker executes: `<engine version>+<digest>`, the digest over the bundled code without its source map, so that
 * the same sources have the same one wherever they were built.
 */
export async function readEngineVersion(bundlePath = workflowBundle): Promise<string> {
  const bundle = await readFile(bundlePath, 'utf8');
  const mapAt = bundle.lastIndexOf('//# sourceMappingURL=');
  const code = mapAt < 0 ? bundle : bundle.slice(0, mapAt);
  const digest = createHash('sha256').update(code).digest('hex');
  return `${ENGINE_VERSION}+${digest.slice(0, DIGEST_DIGITS)}`;
}

/** This worker's version in its deployment. */
export interface DeploymentVersion {
  readonly deploymentName: string;
  readonly buildId: string;
}

/** Null: workers are not versioned. */
export function deploymentVersion(
  config: Pick<ProcessConfig, 'workerDeployment' | 'buildId'>,
  engineVersion: string,
): DeploymentVersion | null {
  const { workerDeployment, buildId } = config;
  return workerDeployment === undefined
    ? null
    : { deploymentName: workerDeployment, buildId: buildId ?? engineVersion };
}

/** How the database names a build: that of Temporal, with a colon between deployment and build. */
export function workerBuild(version: DeploymentVersion | null): string | null {
  return version === null ? null : `${version.deploymentName}:${version.buildId}`;
}

/** Which runs this worker takes up: those that are pinned to its build, or all that its workflows replay. */
export function servedRuns(version: DeploymentVersion | null): ServedBy {
  const build = workerBuild(version);
  return build === null ? { from: OLDEST_ENGINE_VERSION, to: ENGINE_VERSION } : { build };
}
