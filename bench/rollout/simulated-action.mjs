// Loaded with `--import` before a worker: adds an action that stands for a host's work to that process's registry, and to no other.
// It takes 50 ms, and each hundredth call of the process fails.
import { setTimeout as sleep } from 'node:timers/promises';
import { actions } from '@fettle/activities';
import { actionContracts } from '@fettle/activities/contracts';
import { defineAction } from '@fettle/contracts';
import { z } from 'zod';

export const WORK_MS = 50;
const FAILS_EACH = 100;
let calls = 0;

/** What a host would do: true, or false where it failed. */
export async function simulateHost() {
  calls += 1;
  const isFailing = calls % FAILS_EACH === 0;
  await sleep(WORK_MS);
  return !isFailing;
}

const contract = (name, scope) =>
  defineAction({
    name,
    version: 1,
    summary: 'Takes 50 ms; each hundredth fails.',
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

async function execute() {
  if (await simulateHost()) return { state: 'succeeded', exitCode: 0, error: null, output: {} };
  return { state: 'failed', exitCode: 1, error: { code: 'exit-code', message: 'It ended with 1.' }, output: null };
}

// The second one is never executed: a run needs a step, and that of the plain workflow has none on targets.
for (const [name, scope] of [
  ['bench.simulated', 'target'],
  ['bench.none', 'control'],
]) {
  const declared = contract(name, scope);
  Object.assign(actionContracts, { [name]: declared });
  Object.assign(actions, { [name]: { scope, contract: declared, execute } });
}
