import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { ENGINE_VERSION } from '@fettle/runbook';
import { workflowCode, type WorkflowCode, type WorkflowName } from './workflow-digest.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const historiesFolder = fileURLToPath(new URL('./histories/', import.meta.url));

/** One recording of a workflow: of the code that its digest names, in a folder of its own. */
export interface Recording {
  /** `v<engine version>-<first 12 digits of the code's digest>`. */
  readonly folder: string;
  readonly engineVersion: number;
  readonly code: WorkflowCode;
  /** By file in that folder. */
  readonly histories: Readonly<Record<string, { readonly events: number; readonly sha256: string }>>;
}

/** `manifest.json` of a workflow. */
export interface Manifest {
  readonly workflow: WorkflowName;
  /** Newest last. */
  readonly recordings: readonly Recording[];
}

export function readManifest(workflow: WorkflowName): Manifest {
  try {
    return JSON.parse(readFileSync(join(historiesFolder, workflow, 'manifest.json'), 'utf8')) as Manifest;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { workflow, recordings: [] };
    throw error;
  }
}

/** The JSON of a recorded history, as text. @throws where the file is not what was recorded */
export function readRecorded(workflow: WorkflowName, { folder, histories }: Recording, file: string): string {
  const text = gunzipSync(readFileSync(join(historiesFolder, workflow, folder, file)));
  const digest = createHash('sha256').update(text).digest('hex');
  if (digest !== histories[file]!.sha256) throw new Error(`${workflow}/${folder}/${file} is not what was recorded`);
  return text.toString('utf8');
}

export interface WriteOptions {
  readonly oldestEngineVersion: number;
  /** Recordings of the present engine version are removed, too: no released code made them. */
  readonly isReplacing: boolean;
}

/** Writes a recording of the present code; a former one of the same code is replaced, and older ones stay as the options say. */
export function writeRecording(
  workflow: WorkflowName,
  histories: ReadonlyMap<string, string>,
  { oldestEngineVersion, isReplacing }: WriteOptions,
): Recording {
  const code = workflowCode(workflow);
  const folder = `v${ENGINE_VERSION}-${code.digest.slice(0, 12)}`;
  const kept = readManifest(workflow).recordings.filter(
    (one) =>
      one.folder !== folder &&
      one.engineVersion >= oldestEngineVersion &&
      !(isReplacing && one.engineVersion === ENGINE_VERSION),
  );
  const own = join(historiesFolder, workflow);
  mkdirSync(join(own, folder), { recursive: true });
  const stay = new Set(kept.map((one) => one.folder));
  for (const entry of readdirSync(own, { withFileTypes: true })) {
    if (entry.isDirectory() && !stay.has(entry.name)) rmSync(join(own, entry.name), { recursive: true });
  }
  mkdirSync(join(own, folder));
  const written: Record<string, { events: number; sha256: string }> = {};
  for (const [file, text] of [...histories].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { events } = JSON.parse(text) as { events: unknown[] };
    writeFileSync(join(own, folder, file), gzipSync(text, { level: 9 }));
    written[file] = { events: events.length, sha256: createHash('sha256').update(text).digest('hex') };
  }
  const recording: Recording = { folder, engineVersion: ENGINE_VERSION, code, histories: written };
  const manifest: Manifest = { workflow, recordings: [...kept, recording] };
  writeFileSync(join(own, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return recording;
}

/** A history as it is recorded: without what tells of the machine that it was made on. Throws where that is in a payload. */
export function withoutMachine(text: string): string {
  const cleaned = JSON.stringify(clean(JSON.parse(text)));
  const payloads = [...cleaned.matchAll(/"data":"([A-Za-z0-9+/=]+)"/g)];
  const read = payloads.map(([, data]) => Buffer.from(data!, 'base64').toString('utf8'));
  for (const one of [cleaned, ...read]) {
    for (const word of [root, hostname(), '/tmp/fettle', 'PRIVATE KEY']) {
      const at = one.indexOf(word);
      if (at >= 0) throw new Error(`a history has "${word}" in it: ${one.slice(Math.max(0, at - 200), at + 200)}`);
    }
  }
  return cleaned;
}

/** Members that name a process, a file or a queue of the machine, and what stands for them. Replaying reads none of them. */
const replaced: Readonly<Record<string, unknown>> = { identity: 'worker', stackTrace: '', workerVersion: undefined };

function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => clean(item));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]): [string, unknown] => {
    if (name in replaced) return [name, replaced[name]];
    if (name === 'taskQueue') return [name, queueOf(member)];
    return [name, clean(member)];
  });
  return Object.fromEntries(members);
}

/** Sticky queues have the host's name in theirs; those of tests are named by chance. */
function queueOf(member: unknown): unknown {
  if (typeof member === 'string') return 'fettle';
  if (typeof member !== 'object' || member === null) return member;
  const names = Object.entries(member).map(([name, value]): [string, unknown] => [
    name,
    /name/i.test(name) ? 'fettle' : value,
  ]);
  return Object.fromEntries(names);
}
