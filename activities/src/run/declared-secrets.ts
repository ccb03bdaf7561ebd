import { readRunDefinition } from '@fettle/database';
import { declaredInputs } from '@fettle/runbook/source';
import { findAction } from '../actions.js';
import { namedCredentials } from '../implementation.js';
import { withDatabasePatience } from './database-retry.js';
import type { WorkerServices } from './services.js';

/** Bounds the tables that look for them, see `PatternAutomaton`. */
const MAX_DECLARED = 50;
/** Runs of one worker whose names are kept. */
const MAX_RUNS = 1000;

/**
 * Names of the credentials that a run declares: those given for its secret inputs, and those that its steps name without an
 * expression, wherever in the spec they stand. A step may print what another one left on the host, so each masks all of these.
 */
export function declaredSecrets(
  spec: Readonly<Record<string, unknown>>,
  inputs: Readonly<Record<string, unknown>>,
): readonly string[] {
  const { inputs: schema, ...rest } = spec;
  const declared = isRecord(schema) ? declaredInputs(schema) : [];
  const given = declared.flatMap(({ name, isSecret }) => (isSecret ? [inputs[name]] : []));
  const names = [...given, ...namedIn(rest)].filter((name): name is string => typeof name === 'string');
  return [...new Set(names)].sort().slice(0, MAX_DECLARED);
}

/** Documents are at most 64 levels deep. */
function namedIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(namedIn);
  if (!isRecord(value)) return [];
  const action = typeof value['uses'] === 'string' ? findAction(value['uses']) : undefined;
  if (action !== undefined) return [...namedCredentials(action.contract, value['with']), ...inside(value)];
  return inside(value);
}

function inside({ with: _input, ...members }: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.values(members).flatMap(namedIn);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const known = new WeakMap<WorkerServices, Map<string, readonly string[]>>();

/** A run's version and inputs never change, and each of its control steps asks. */
export function rememberDeclaredSecrets(services: WorkerServices, runId: string, names: readonly string[]): void {
  const runs = known.get(services) ?? new Map<string, readonly string[]>();
  known.set(services, runs);
  const [oldest] = runs.keys();
  if (runs.size >= MAX_RUNS && oldest !== undefined) runs.delete(oldest);
  runs.set(runId, names);
}

/** The same for a run by its id. */
export async function declaredSecretsOf(services: WorkerServices, runId: string): Promise<readonly string[]> {
  const remembered = known.get(services)?.get(runId);
  if (remembered) return remembered;
  const definition = await withDatabasePatience(() => readRunDefinition(services.dataSource.manager, runId));
  const { document, inputs } = definition ?? { document: null, inputs: {} };
  const spec = isRecord(document) && isRecord(document['spec']) ? document['spec'] : {};
  const names = declaredSecrets(spec, inputs);
  rememberDeclaredSecrets(services, runId, names);
  return names;
}
