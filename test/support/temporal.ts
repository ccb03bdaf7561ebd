import { randomBytes } from 'node:crypto';

export { startScratchTemporal as startTemporal, type ScratchTemporal } from '../../apps/cli/dist/up/scratch-servers.js';

export interface TestTemporal {
  /** `host:port` of the server that all test files share. */
  readonly address: string;
  readonly namespace: string;
  /** Unique to the caller, so that no other file's worker takes its tasks. */
  readonly taskQueue: string;
  /** Prefix for workflow and schedule ids: they share the namespace with other files. */
  readonly idPrefix: string;
}

export function testTemporal(): TestTemporal {
  const address = process.env.FETTLE_TEST_TEMPORAL_ADDRESS;
  if (address === undefined) {
    throw new Error('FETTLE_TEST_TEMPORAL_ADDRESS is not set: run this file in the jest project `real`');
  }
  const suffix = randomBytes(6).toString('hex');
  return { address, namespace: 'default', taskQueue: `test-${suffix}`, idPrefix: `t${suffix}-` };
}
