import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FettleError } from '@fettle/contracts';
import { readText } from '../../session/read-input.js';
import type { CliHost } from '../../session/host.js';

/** One file of documents. */
export interface SourceFile {
  /** As the person named it; `-` became `<stdin>`. */
  readonly file: string;
  readonly text: string;
}

const MAX_FILES = 1000;
const DOCUMENT_FILE = /\.(ya?ml|json)$/;

/** Reads what `-f` names: files, `-` for standard input, and folders, whose YAML and JSON files are taken in order of name. */
export async function readSources(host: CliHost, names: readonly string[]): Promise<SourceFile[]> {
  const sources: SourceFile[] = [];
  for (const name of names) {
    for (const file of await filesOf(name)) {
      if (sources.length >= MAX_FILES) {
        throw new FettleError({ code: 'limit-exceeded', message: `-f names more than ${MAX_FILES} files` });
      }
      sources.push({ file: file === '-' ? '<stdin>' : file, text: await readText(host, file) });
    }
  }
  return sources;
}

async function filesOf(name: string): Promise<string[]> {
  if (name === '-' || !(await isFolder(name))) return [name];
  const found = await readdir(name, { recursive: true, withFileTypes: true });
  const files = found
    .filter((entry) => entry.isFile() && DOCUMENT_FILE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  if (files.length > 0) return files;
  throw new FettleError({ code: 'not-found', message: `The folder ${name} holds no .yaml, .yml or .json file.` });
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch {
    // Reading it tells what is wrong.
    return false;
  }
}

/** Several files as one source, so that they are applied together or not at all, and where each of their lines came from. */
export interface JoinedSource {
  readonly text: string;
  readonly file: string;
  /** The place in its own file of a line (from 1) of the joined text. */
  placeOf(line: number): { readonly file: string; readonly line: number };
}

export function joinSources(sources: readonly SourceFile[]): JoinedSource {
  const only = sources[0];
  if (sources.length === 1 && only !== undefined)
    return { text: only.text, file: only.file, placeOf: (line) => ({ file: only.file, line }) };
  const starts: { readonly file: string; readonly firstLine: number }[] = [];
  let text = '';
  let line = 1;
  for (const source of sources) {
    const body = `---\n${source.text.replace(/^\uFEFF/, '').replace(/\n?$/, '\n')}`;
    starts.push({ file: source.file, firstLine: line + 1 });
    text += body;
    line += body.split('\n').length - 1;
  }
  const placeOf = (at: number): { readonly file: string; readonly line: number } => {
    const start = starts.findLast(({ firstLine }) => firstLine <= at) ?? starts[0]!;
    return { file: start.file, line: Math.max(1, at - start.firstLine + 1) };
  };
  return {
    text,
    file: sources
      .map(({ file }) => file)
      .join(', ')
      .slice(0, 500),
    placeOf,
  };
}
