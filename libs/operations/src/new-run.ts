import { durationMs, type TemporalCommand } from '@fettle/contracts';
import type { NewEntry, NewRun, NewTargets } from '@fettle/database';
import type { Selector } from '@fettle/expression';
import { digestOf } from '@fettle/runbook';
import type { OperationContext } from './context.js';
import type { HeldRun } from './hold-to-calendars.js';
import type { AuditedChange } from './record-audit.js';
import { rollbackOf } from './rollback-of.js';
import type { AcceptRequest } from './start-run.js';

// What is written of a new run, whether it is accepted alone or with others.

type Inputs = Readonly<Record<string, unknown>>;

export function newRunRow(
  id: string,
  request: AcceptRequest,
  known: {
    readonly inputs: Inputs;
    readonly selector: Selector | null;
    readonly closure: Readonly<Record<string, string>> | null;
    readonly requestedBy: string;
  },
): NewRun {
  const { spec, continued, options } = request;
  return {
    id,
    space: request.space,
    runbook: request.runbook,
    versionId: request.versionId,
    version: request.version,
    workflowId: `run-${id}`,
    inputs: known.inputs,
    selector: continued === undefined ? (known.selector?.source ?? null) : continued.selector,
    maxConcurrency: spec.rollout.maxConcurrency,
    idempotencyKey: options.idempotencyKey ?? null,
    requestDigest: options.idempotencyKey === undefined ? null : request.requestDigest,
    requestedBy: known.requestedBy,
    scheduleId: options.fire?.scheduleId ?? continued?.scheduleId ?? null,
    fireAt: options.fire?.at ?? null,
    reason: request.reason ?? null,
    timeoutMs: durationMs(spec.timeout),
    parent: options.parent,
    closure: known.closure,
    rollback: rollbackOf(spec),
    continues: continued,
  };
}

function targetsDetail({ runbook, version }: AcceptRequest, targets: Pick<NewTargets, 'count' | 'digest'>) {
  return { runbook, version, targetCount: targets.count, targetSetDigest: targets.digest };
}

export function queuedEntry({ actor }: OperationContext, request: AcceptRequest, targets: NewTargets): NewEntry {
  const { continued } = request;
  return {
    kind: 'run-queued',
    data: {
      ...targetsDetail(request, targets),
      by: actor.name,
      ...(continued === undefined ? {} : { continues: continued.runId, how: continued.how }),
      ...(targets.counts === undefined ? {} : { counts: targets.counts }),
    },
  };
}

export function startedChange(
  id: string,
  request: AcceptRequest,
  known: {
    readonly inputs: Inputs;
    readonly selector: Selector | null;
    readonly targets: NewTargets;
    readonly held: HeldRun | null;
  },
): AuditedChange {
  const { planDigest, continued, options } = request;
  const { parent, fire } = options;
  return {
    action: request.action,
    space: request.space,
    object: { kind: 'run', name: id, id },
    detail: {
      ...targetsDetail(request, known.targets),
      // The inputs themselves may be large; with the run beside it, the digest proves them.
      inputsDigest: digestOf(known.inputs),
      selector: known.selector?.source ?? null,
      reason: request.reason ?? null,
      ...(planDigest === undefined ? {} : { planDigest }),
      ...(known.held === null ? {} : { calendar: known.held }),
      fire: fire === undefined ? null : { scheduleId: fire.scheduleId, at: fire.at.toISOString() },
      ...(continued === undefined ? {} : continued.detail),
      ...(parent === undefined ? {} : { calledBy: { runId: parent.runId, step: parent.path } }),
    },
  };
}

export function startCommand(id: string, { spec }: AcceptRequest): TemporalCommand {
  return { kind: 'start-run', subject: `run-${id}`, payload: { runId: id, timeoutMs: durationMs(spec.timeout) } };
}
