import { durationMs } from '@fettle/contracts';
import { patchTested } from '../contracts.js';
import { controlAction } from '../implementation.js';

export const keepTested = controlAction(patchTested, async ({ run, soak }, { testedSets }) => {
  const { digest, hosts, succeeded, releases, packages, updates } = await testedSets.keep(run);
  const soakedAt = new Date(Date.now() + (soak === undefined ? 0 : durationMs(soak))).toISOString();
  const output = { digest, hosts, succeeded, releases: [...releases], packages, updates, soakedAt };
  return { state: 'succeeded', exitCode: null, error: null, output };
});
