import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FettleError, importResultSchema, type Finding } from '@fettle/contracts';
import {
  parseAnsibleInventory,
  parseCsvInventory,
  type ImportResult,
  type ImportRow,
  type InventoryFile,
} from '@fettle/inventory';
import { renderFindings } from '../../output/findings.js';
import { plural } from '../../output/text.js';
import { InvalidFileError, systemCode, toFinding } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { CliHost } from '../../session/host.js';
import { readText } from '../../session/read-input.js';
import type { Session, SpaceOptions } from '../../session/session.js';

interface ImportOptions extends SpaceOptions {
  readonly format: 'csv' | 'ansible';
  readonly dryRun?: boolean;
}

const IMPORT_TIMEOUT_MS = 900_000;
const MAX_FILES = 200_000;

/** Reads the file here and sends its rows: a file with errors never leaves this machine. */
export async function importAssets(session: Session, file: string, options: ImportOptions): Promise<number> {
  const { host, output } = session;
  const parsed = options.format === 'csv' ? await readCsv(host, file) : await readAnsible(host, file);
  if (parsed.counts.errors > 0) throw new InvalidFileError(file, parsed.findings, parsed.counts.errors);
  output.stderr.write(renderFindings(parsed.findings, output.errorColours));
  const result = await session.connect(options).post('/api/v1/assets/import', importResultSchema, {
    query: { space: options.space, format: options.format, dryRun: options.dryRun ?? false },
    raw: { contentType: 'application/x-ndjson', text: parsed.rows.map(rowLine).join('') },
    timeoutMs: IMPORT_TIMEOUT_MS,
  });
  output.stderr.write(
    renderFindings(
      result.warnings.map((warning) => asWarning(warning)),
      output.errorColours,
    ),
  );
  output.data(options.output, result, () =>
    output.fields([
      ['created', result.created],
      ['changed', result.changed],
      ['unchanged', result.unchanged],
    ]),
  );
  output.note(
    result.dryRun ? 'Nothing was written (--dry-run).' : `${plural(parsed.rows.length, 'row')} of ${file} imported.`,
  );
  return EXIT.ok;
}

function asWarning(value: Readonly<Record<string, unknown>>): Finding {
  return { ...toFinding(value), severity: 'warning' };
}

/** Groups travel as the labels that they became. */
function rowLine({ file: _file, groups: _groups, ...row }: ImportRow): string {
  return `${JSON.stringify(row)}\n`;
}

async function readCsv(host: CliHost, file: string): Promise<ImportResult> {
  return parseCsvInventory(await readText(host, file), { file: file === '-' ? '<stdin>' : file });
}

/** The inventory and, beside it, its group_vars and host_vars. */
async function readAnsible(host: CliHost, root: string): Promise<ImportResult> {
  if (root === '-') {
    return parseAnsibleInventory([{ path: 'stdin', text: await readText(host, '-') }], { root: 'stdin' });
  }
  const isFolder = await stat(root).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const files: InventoryFile[] = [];
  if (isFolder) await readFolder(host, root, files);
  else {
    files.push({ path: root, text: await readText(host, root) });
    for (const name of ['group_vars', 'host_vars']) await readFolder(host, join(dirname(root), name), files);
  }
  return parseAnsibleInventory(files, { root });
}

/** A folder that is not there holds nothing. */
async function readFolder(host: CliHost, folder: string, files: InventoryFile[]): Promise<void> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return [];
    throw error;
  });
  for (const entry of found) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    if (files.length >= MAX_FILES)
      throw new FettleError({ code: 'limit-exceeded', message: `${folder} holds more than ${MAX_FILES} files` });
    files.push({ path, text: await readText(host, path) });
  }
}
