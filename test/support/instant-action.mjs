// Loaded with `--import` before a worker, and by the test itself: adds an action that stands for a host's work to that process's
// registry, and to no other. It takes no time and succeeds.
import { actions } from '@fettle/activities';
import { actionContracts } from '@fettle/activities/contracts';
import { defineAction } from '@fettle/contracts';
import { z } from 'zod';

const contract = defineAction({
  name: 'test.instant',
  version: 1,
  summary: 'Succeeds at once.',
  input: z.strictObject({}),
  output: z.object({}),
  scope: 'target',
  effect: () => 'read-only',
  defaultTimeoutMs: 30_000,
  maxTimeoutMs: 30_000,
  secretInputs: [],
  compensation: null,
  probe: false,
  render: () => ({ argv: [], files: [], calls: [] }),
});

Object.assign(actionContracts, { [contract.name]: contract });
Object.assign(actions, {
  [contract.name]: {
    scope: 'target',
    contract,
    execute: () => Promise.resolve({ state: 'succeeded', exitCode: 0, error: null, output: {} }),
  },
});
