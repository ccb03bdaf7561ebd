import {
  FettleError,
  type EstateAsset,
  type Finding,
  type RehearsalCase,
  type RehearsalDocument,
  type RunbookSpec,
} from '@fettle/contracts';
import type { AssetView } from '@fettle/expression';
import { finding } from '../document/findings.js';
import type { ParsedDocument } from '../document/parse-documents.js';
import { validateInputs } from '../document/validate-inputs.js';
import type { advance } from '../engine/advance.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { JsonPath } from '../json.js';
import { compileScript } from './compile-script.js';
import { coverageOf, type Coverage } from './coverage.js';
import { mismatches } from './expectations.js';
import type { RehearsedEntry } from './journal.js';
import { simulate, type Simulation } from './simulate.js';

export interface RehearsedCase {
  readonly rehearsal: string;
  readonly file: string;
  readonly runbook: string;
  readonly name: string;
  /** What it did not come to, with places in its file; none: it passed. */
  readonly failures: readonly Finding[];
  /** Null: it could not be rehearsed at all; `failures` say why. */
  readonly simulation: Simulation | null;
  /** Real time that it took. */
  readonly tookMs: number;
}

export interface RehearseReport {
  readonly cases: readonly RehearsedCase[];
  /** Of each runbook that is rehearsed, over all its cases; in the order of their names. */
  readonly coverage: readonly Coverage[];
}

export interface RehearseOptions {
  readonly actions: ActionRegistry;
  /** Which cases, by name of the rehearsal, "/" and name of the case; absent: all. */
  readonly isWanted?: ((name: string) => boolean) | undefined;
  /** A clock, for `tookMs`; absent: it stays 0. */
  readonly nowMs?: (() => number) | undefined;
  /** Another engine: a test of the tests. */
  readonly advance?: typeof advance | undefined;
}

/**
 * Carries out all rehearsals among documents that are valid (`validateDocuments` finds no error), each case in a world of its own,
 * in simulated time. Never throws for what the documents hold.
 */
export function rehearse(documents: readonly ParsedDocument[], options: RehearseOptions): RehearseReport {
  const cases: RehearsedCase[] = [];
  const rehearsed = new Map<string, { readonly spec: RunbookSpec; readonly entries: RehearsedEntry[] }>();
  for (const parsed of documents) {
    const { rehearsal } = parsed;
    if (rehearsal === null) continue;
    const runbooks = runbooksOf(documents, rehearsal.metadata.space);
    for (const [index, one] of rehearsal.spec.cases.entries()) {
      if (options.isWanted?.(`${rehearsal.metadata.name}/${one.name}`) === false) continue;
      const beganMs = options.nowMs?.() ?? 0;
      const result = rehearseCase(rehearsal, one, runbooks, options);
      const path: JsonPath = ['spec', 'cases', index];
      const failures = result.failures.map(({ path: inside, message }) =>
        failure(parsed, [...path, ...inside], message),
      );
      const { name } = one;
      const { runbook } = rehearsal.spec;
      const { simulation } = result;
      const tookMs = (options.nowMs?.() ?? 0) - beganMs;
      cases.push({
        rehearsal: rehearsal.metadata.name,
        file: parsed.file,
        runbook,
        name,
        failures,
        simulation,
        tookMs,
      });
      for (const [called, spec] of runbooks) {
        const entries = simulation?.entries.filter((entry) => entry.runbook === called) ?? [];
        if (entries.length === 0 && called !== runbook) continue;
        const key = `${rehearsal.metadata.space}/${called}`;
        if (!rehearsed.has(key)) rehearsed.set(key, { spec, entries: [] });
        for (const entry of entries) rehearsed.get(key)?.entries.push(entry);
      }
    }
  }
  const coverage = [...rehearsed]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { spec, entries }]) => coverageOf(key.slice(key.indexOf('/') + 1), spec, entries, options.actions));
  return { cases, coverage };
}

function runbooksOf(documents: readonly ParsedDocument[], space: string): ReadonlyMap<string, RunbookSpec> {
  return new Map(
    documents.flatMap(({ document }): [string, RunbookSpec][] =>
      document?.kind === 'Runbook' && document.metadata.space === space
        ? [[document.metadata.name, document.spec]]
        : [],
    ),
  );
}

interface CaseResult {
  readonly failures: readonly { readonly path: JsonPath; readonly message: string }[];
  readonly simulation: Simulation | null;
}

function rehearseCase(
  { spec, metadata }: RehearsalDocument,
  one: RehearsalCase,
  runbooks: ReadonlyMap<string, RunbookSpec>,
  { actions, advance }: RehearseOptions,
): CaseResult {
  const runbook = runbooks.get(spec.runbook);
  const failed = (path: JsonPath, message: string): CaseResult => ({ failures: [{ path, message }], simulation: null });
  if (runbook === undefined) return failed([], `there is no runbook "${spec.runbook}" among the files`);
  const checked = validateInputs(runbook, { ...spec.inputs, ...one.inputs });
  if (checked.inputs === null) return failed(['inputs'], checked.findings[0]?.message ?? 'the inputs do not fit');
  const estate = (one.estate ?? spec.estate).map((asset, index) => assetView(asset, index, metadata.space));
  try {
    const script = compileScript(spec, one, actions);
    const simulation = simulate({
      runbook: spec.runbook,
      spec: runbook,
      inputs: checked.inputs,
      estate,
      actions,
      runbooks,
      script,
      seed: spec.seed,
      startAtMs: Date.parse(spec.startAt),
      advance,
    });
    const found = mismatches(one.expects, simulation, spec.runbook);
    const failures = found.map(({ path, message }) => ({ path: ['expects', ...path], message }));
    return { failures: [...failures, ...script.unmet()], simulation };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return failed([], `it could not be rehearsed: ${error.message}`);
  }
}

function assetView(asset: EstateAsset, index: number, space: string): AssetView {
  // A made-up id that stays the same.
  const id = `00000000-0000-7000-8000-${String(index + 1).padStart(12, '0')}`;
  return { ...asset, id, space };
}

function failure({ places }: ParsedDocument, path: JsonPath, message: string): Finding {
  return finding('not-as-expected', message, { path, position: places.valueAt(path).position });
}
