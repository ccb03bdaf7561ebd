import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { auditKeySchema, FettleError, type AuditKey } from '@fettle/contracts';
import { splitCheckpoints, verifyExport, type ExportReport } from '@fettle/security/verify';
import type { ApiClient } from '../../client/api-client.js';
import type { OutputFormat } from '../../output/output.js';
import { InterruptedError, messageOf, systemCode } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { readText } from '../../session/read-input.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { findLocalStack } from '../../up/stack-state.js';
import { resolveDataDir } from '../../up/data-dir.js';

export interface VerifyOptions {
  readonly export?: string;
  readonly checkpoints?: string;
  readonly key?: string;
  readonly origin?: string;
  readonly output: OutputFormat;
  readonly dataDir?: string;
}

interface LogKey {
  readonly publicKey: string;
  readonly origin: string;
}

/** Verifies on this machine; the API, where it is asked at all, only hands over what is stored. */
export async function verifyAudit(session: Session, options: VerifyOptions): Promise<number> {
  const { host, output } = session;
  let client: ApiClient | undefined;
  const api = (): ApiClient => (client ??= session.connect(options));
  const checkpoints = await readCheckpoints(session, options);
  const key =
    options.key === undefined ? await askKey(session, api, options) : await readKey(session, options, checkpoints);
  const folder = options.export === undefined ? await mkdtemp(join(tmpdir(), 'fettle-audit-')) : null;
  try {
    const file = options.export ?? (await download(api(), join(folder ?? '', 'export.ndjson')));
    const signal = host.interruption();
    const report = await verifyExport({ readLines: () => lines(file, signal), checkpoints, ...key });
    output.data(options.output, report, () => reportText(session, report));
    return report.ok ? EXIT.ok : EXIT.error;
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }
}

async function* lines(file: string, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  const stream = createReadStream(file, { encoding: 'utf8', signal });
  const failed = new Promise<never>((_resolve, reject) => stream.once('error', reject));
  failed.catch(() => undefined);
  await Promise.race([failed, new Promise((resolve) => stream.once('open', resolve))]).catch((cause: unknown) => {
    throw new FettleError({ code: 'unreadable-file', message: `${file} cannot be read.`, cause });
  });
  yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
}

async function download(client: ApiClient, file: string): Promise<string> {
  const target = await open(file, 'wx', 0o600);
  try {
    for await (const chunk of client.chunks('/api/v1/audit/export')) await target.write(chunk);
  } finally {
    await target.close();
  }
  return file;
}

/** Checkpoints from where the database cannot reach: the file named, or that of a local stack. */
async function readCheckpoints({ host, output }: Session, options: VerifyOptions): Promise<string[]> {
  if (options.checkpoints !== undefined) return [...splitCheckpoints(await readText(host, options.checkpoints))];
  const local =
    options.export === undefined ? findLocalStack(resolveDataDir(options.dataDir, host.env).path) : undefined;
  const isLocal = local !== undefined && (options.dataDir !== undefined || (host.env.FETTLE_URL ?? '') === '');
  if (isLocal) {
    try {
      return [...splitCheckpoints(await readFile(join(local.dataDir, 'audit', 'checkpoints.log'), 'utf8'))];
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
  output.warn('no checkpoints from outside the database (--checkpoints FILE): a truncated log may look whole');
  return [];
}

async function askKey({ output }: Session, api: () => ApiClient, options: VerifyOptions): Promise<LogKey> {
  const key = await readKeyOfApi(api).catch((cause: unknown) => {
    // What is wrong with the API is the matter itself where the export is to come from it, too.
    if (options.export === undefined || cause instanceof InterruptedError) throw cause;
    throw new FettleError({
      code: 'key-missing',
      message: `The log's public key is missing: --key does not give it, and the API does not tell it. ${messageOf(cause)}`,
      remedy:
        'Give it with --key FILE, or as text: --key NAME+HASH+BASE64. `fettle audit key` prints it where the API runs.',
      cause,
    });
  });
  output.note(`The key comes from the API (${key.verifierKey}); --key takes the one you noted when all was new.`);
  return { publicKey: key.publicKeyPem, origin: options.origin ?? key.origin };
}

async function readKey({ host }: Session, options: VerifyOptions, checkpoints: readonly string[]): Promise<LogKey> {
  const given = options.key ?? '';
  const publicKey = (isKeyText(given) ? given : await readText(host, given)).trim();
  const ofKey = publicKey.startsWith('-----') ? undefined : publicKey.split('+')[0];
  const origin = options.origin ?? ofKey ?? checkpoints[0]?.split('\n')[0];
  if (origin !== undefined) return { publicKey, origin };
  throw new FettleError({
    code: 'usage',
    message: "--origin is missing: the log's name, which a PEM key does not tell",
  });
}

/** A key itself instead of a file's name; which file would be called so? */
function isKeyText(text: string): boolean {
  return text.startsWith('-----BEGIN ') || /^[^+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,}={0,2}$/.test(text);
}

async function readKeyOfApi(api: () => ApiClient): Promise<AuditKey> {
  return api().get('/api/v1/audit/key', auditKeySchema);
}

/** For whoever verifies elsewhere, or wants to know later that the key is still the same. */
export async function printKey(session: Session, options: ApiOptions): Promise<number> {
  const key = await readKeyOfApi(() => session.connect(options));
  session.output.data(options.output, key, () => `${key.verifierKey}\n`);
  return EXIT.ok;
}

function reportText({ output }: Session, report: ExportReport): string {
  const { colours } = output;
  const findings = report.findings.map((finding) => ({ ...finding }));
  const table =
    findings.length === 0
      ? ''
      : output.table(findings, [
          { title: 'WHAT', value: (one) => one.kind, paint: (cell) => colours.red(cell) },
          { title: 'POSITION', value: (one) => one.position, align: 'right' },
          { title: 'RECORDS', value: (one) => one.count, align: 'right' },
          { title: 'MESSAGE', value: (one) => one.message },
        ]);
  const more = report.omittedFindings > 0 ? `... and ${report.omittedFindings} more findings\n` : '';
  return `${table}${more}${output.fields(
    [
      ['log', report.ok ? 'verified' : 'NOT as it was sealed'],
      ['sealed', report.size],
      ['proven', report.provenSize],
      ['uncovered', report.uncoveredCount === 0 ? 0 : `${report.uncoveredCount} after the last checkpoint`],
      ['unsealed', report.unsealedCount],
      ['checkpoints', `${report.checkpointCount}, ${report.outsideCheckpointCount} from outside the database`],
    ],
    (name, text) => (name === 'log' ? (report.ok ? colours.green(text) : colours.red(text)) : text),
  )}`;
}
