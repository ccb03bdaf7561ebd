// Loaded with `--import` before a worker: adds an action without effect to that process's registry, and to no other. The
// product's registry has no such action.
import { actions } from '@fettle/activities';
import { actionContracts } from '@fettle/activities/contracts';
import { defineAction } from '@fettle/contracts';
import { z } from 'zod';

function contract(name, scope) {
  return defineAction({
    name,
    version: 1,
    summary: 'Does nothing.',
    input: z.strictObject({}),
    output: z.object({}),
    scope,
    effect: () => 'read-only',
    defaultTimeoutMs: 30_000,
    maxTimeoutMs: 30_000,
    secretInputs: [],
    compensation: null,
    probe: false,
    render: () => ({ argv: [], files: [], calls: [] }),
  });
}

for (const [name, scope] of [
  ['bench.noop', 'control'],
  ['bench.noop-target', 'target'],
]) {
  const declared = contract(name, scope);
  const execute = async () => ({
    state: 'succeeded',
    exitCode: scope === 'target' ? 0 : null,
    error: null,
    output: {},
  });
  Object.assign(actionContracts, { [name]: declared });
  Object.assign(actions, { [name]: { scope, contract: declared, execute } });
}
