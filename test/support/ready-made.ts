import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { actionContracts } from '@fettle/activities/contracts';
import type { RehearsalCase, RehearsalDocument, RunbookSpec } from '@fettle/contracts';
import {
  compileScript,
  parseDocuments,
  simulate,
  validateDocuments,
  validateInputs,
  type ParsedDocument,
  type Script,
  type ScriptedCall,
  type ScriptedEnd,
  type SimulateRequest,
  type Simulation,
} from '@fettle/runbook/source';

export const READY_MADE = fileURLToPath(new URL('../../runbooks', import.meta.url));

/** A runbook of `runbooks/` with its rehearsal. */
export interface ReadyMade {
  readonly name: string;
  readonly spec: RunbookSpec;
  /** Its `spec` as it is written, for `addRunbook`. */
  readonly written: Record<string, unknown>;
  readonly rehearsal: RehearsalDocument;
  readonly documents: readonly ParsedDocument[];
}

/** All of them, in the order of their names. Throws where one is not valid or lacks its rehearsal. */
export function readyMadeRunbooks(): readonly ReadyMade[] {
  const folders = readdirSync(READY_MADE, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.map(({ name }) => readyMade(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function readyMade(name: string): ReadyMade {
  const own = ['runbook.yaml', 'rehearsal.yaml'].map((file) => join(name, file));
  const called = [...readFileSync(join(READY_MADE, name, 'runbook.yaml'), 'utf8').matchAll(/^ +runbook: (\S+)$/gm)];
  const others = new Set(called.map(([, other = '']) => join(other, 'runbook.yaml')));
  const documents = [...own, ...others].flatMap((file) => {
    const path = join(READY_MADE, file);
    const parsed = parseDocuments(readFileSync(path, 'utf8'), { file: path });
    if (parsed.findings.length > 0) throw new Error(`${path}: ${JSON.stringify(parsed.findings)}`);
    return parsed.documents;
  });
  const findings = validateDocuments(documents, { actions: actionContracts });
  if (findings.length > 0) throw new Error(`${name}: ${JSON.stringify(findings)}`);
  const runbook = documents.find(({ document }) => document?.kind === 'Runbook');
  const rehearsal = documents.find((one) => one.rehearsal !== null)?.rehearsal;
  if (runbook?.document?.kind !== 'Runbook' || !rehearsal)
    throw new Error(`${name} lacks its runbook or its rehearsal`);
  const { spec, metadata } = runbook.document;
  if (metadata.name !== name) throw new Error(`the runbook in ${name} is called ${metadata.name}`);
  return { name, spec, written: (runbook.value as { spec: Record<string, unknown> }).spec, rehearsal, documents };
}

/** What happened in one world, with all attempts of actions in their order. */
export interface Played {
  readonly simulation: Simulation;
  readonly calls: readonly ScriptedCall[];
}

/** Carries out a case of the rehearsal; `bend` changes what an attempt comes to. */
export function play(
  ready: ReadyMade,
  one: RehearsalCase,
  bend: (call: ScriptedCall, end: ScriptedEnd) => ScriptedEnd = (_call, end) => end,
  more: { readonly advance?: SimulateRequest['advance']; readonly script?: Partial<Script> } = {},
): Played {
  const { spec, rehearsal, name } = ready;
  const { inputs, findings } = validateInputs(spec, { ...rehearsal.spec.inputs, ...one.inputs });
  if (inputs === null) throw new Error(`${name}: ${JSON.stringify(findings)}`);
  const calls: ScriptedCall[] = [];
  const scripted = compileScript(rehearsal.spec, { ...one, faults: [] }, actionContracts);
  const script: Script = {
    ...scripted,
    attempt: (call) => {
      calls.push(call);
      return bend(call, scripted.attempt(call));
    },
    ...more.script,
  };
  const estate = (one.estate ?? rehearsal.spec.estate).map((asset, index) => ({
    ...asset,
    id: `00000000-0000-7000-8000-${String(index + 1).padStart(12, '0')}`,
    space: 'default',
  }));
  const runbooks = new Map(
    ready.documents.flatMap(({ document }) =>
      document?.kind === 'Runbook' ? [[document.metadata.name, document.spec] as const] : [],
    ),
  );
  const simulation = simulate({
    runbook: name,
    runbooks,
    spec,
    inputs,
    estate,
    actions: actionContracts,
    script,
    seed: rehearsal.spec.seed,
    startAtMs: Date.parse(rehearsal.spec.startAt),
    advance: more.advance,
  });
  return { simulation, calls };
}
