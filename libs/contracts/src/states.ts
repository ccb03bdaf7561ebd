import { z } from 'zod';

export const runStates = [
  'queued',
  'waiting-approval',
  'running',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
  'timed-out',
] as const;
export type RunState = (typeof runStates)[number];
export const runStateSchema = z.enum(runStates);
export const endedRunStates: readonly RunState[] = ['succeeded', 'failed', 'cancelled', 'timed-out'];

export const targetStates = [
  'pending',
  'running',
  'succeeded',
  'failed',
  'skipped',
  'unreachable',
  'quarantined',
  'cancelled',
  'unknown',
] as const;
export type TargetState = (typeof targetStates)[number];
export const targetStateSchema = z.enum(targetStates);

/** Counters by target state: all that the run level ever learns about targets. */
export type TargetCounts = Readonly<Record<TargetState, number>>;

/** End states that count as failures of a rollout. */
export const failureStates = [
  'failed',
  'unreachable',
  'quarantined',
  'unknown',
] as const satisfies readonly TargetState[];

/** Targets that a rollout counts as failures. */
export function countFailures(counts: TargetCounts): number {
  return failureStates.reduce((sum, state) => sum + counts[state], 0);
}

export const stepStates = [
  'started',
  'succeeded',
  'failed',
  'skipped',
  'unreachable',
  'quarantined',
  'cancelled',
  'unknown',
] as const;
/** State of one attempt of one step on one target; `started` has no recorded end yet. */
export type StepState = (typeof stepStates)[number];

export const effects = ['read-only', 'idempotent', 'mutating', 'irreversible'] as const;
export type Effect = (typeof effects)[number];

export const assetKinds = [
  'server',
  'workstation',
  'printer',
  'network-device',
  'iot-device',
  'database',
  'application',
  'virtual-machine',
] as const;
export type AssetKind = (typeof assetKinds)[number];
export const lifecycleStates = ['planned', 'active', 'maintenance', 'retired'] as const;
export type LifecycleState = (typeof lifecycleStates)[number];
export const criticalities = ['low', 'medium', 'high', 'critical'] as const;
export type Criticality = (typeof criticalities)[number];

export const roles = ['viewer', 'auditor', 'operator', 'responder', 'author', 'admin'] as const;
export type Role = (typeof roles)[number];
