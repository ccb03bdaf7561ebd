import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ProcessConfig } from '@fettle/config';
import { ENGINE_VERSION } from '@fettle/runbook';
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
