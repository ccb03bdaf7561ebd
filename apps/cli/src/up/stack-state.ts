import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { FettleError } from '@fettle/contracts';
import { z } from 'zod';
import { dataDirAt, readJson, writeFileAtomically, type DataDir } from './data-dir.js';
import { errorCode, endProcess, identifyProcess, isStillRunning, type ProcessIdentity } from './process-identity.js';

const identitySchema = z.object({ pid: z.int().positive(), startedAt: z.string(), commandLine: z.string() });
const stateSchema = z.object({
  supervisor: identitySchema,
  phase: z.enum(['starting', 'ready', 'stopping']),
  url: z.string(),
  dataDir: z.string(),
  /** Where Postgres keeps its files, when embedded. */
  databaseFolder: z.string().optional(),
  /** ISO 8601. */
  startedAt: z.string(),
  children: z.array(identitySchema.extend({ name: z.string() })),
});

/** What `state.json` says of the stack that runs (or ran, when its supervisor is gone). Holds no secret. */
export type StackState = z.infer<typeof stateSchema>;

export function readState(dataDir: DataDir): StackState | undefined {
  const parsed = stateSchema.safeParse(readJson(dataDir.stateFile));
  return parsed.success ? parsed.data : undefined;
}

export function writeState(dataDir: DataDir, state: StackState): void {
  writeFileAtomically(dataDir.stateFile, `${JSON.stringify(state, null, 2)}\n`);
}

/** The state, only while its supervisor lives. */
export function readRunningState(dataDir: DataDir): StackState | undefined {
  const state = readState(dataDir);
  return state !== undefined && isStillRunning(state.supervisor) ? state : undefined;
}

export interface LocalStack {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
}

/** The running local stack of a data directory with its sign-in token, for commands that talk to the API. */
export function findLocalStack(path: string): LocalStack | undefined {
  const dataDir = dataDirAt(path);
  const state = readRunningState(dataDir);
  if (state === undefined) return undefined;
  try {
    return { url: state.url, token: readFileSync(dataDir.tokenFile, 'utf8').trim(), dataDir: dataDir.path };
  } catch {
    return undefined;
  }
}

export interface StackLock {
  release(): void;
}

const MAX_LOCK_ATTEMPTS = 10;

/**
 * One supervisor for a data directory.
 * @throws FettleError `already-running` when another one lives.
 */
export function acquireLock(dataDir: DataDir): StackLock {
  const { lockFile } = dataDir;
  const own = identifyProcess(process.pid);
  const draft = `${lockFile}.${process.pid}`;
  // Written whole, then linked: link(2) fails where the name exists, so nobody ever reads half a lock.
  writeFileSync(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < MAX_LOCK_ATTEMPTS; attempt++) {
      try {
        linkSync(draft, lockFile);
        return { release: () => rmSync(lockFile, { force: true }) };
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
      const holder = readLock(lockFile);
      if (holder !== undefined && isStillRunning(holder)) throw alreadyRunning(dataDir, holder);
      removeDeadLock(lockFile, holder);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw new FettleError({
    code: 'lock-failed',
    message: `${lockFile} cannot be taken`,
    remedy: 'Try again in a moment.',
  });
}

/** Moved aside before it is judged again: two starts at once must not remove each other's fresh lock. */
function removeDeadLock(lockFile: string, dead: ProcessIdentity | undefined): void {
  const aside = `${lockFile}.dead.${process.pid}`;
  try {
    renameSync(lockFile, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const taken = readLock(aside);
  if (taken !== undefined && taken.startedAt !== dead?.startedAt) linkSync(aside, lockFile);
  rmSync(aside, { force: true });
}

function readLock(file: string): ProcessIdentity | undefined {
  const parsed = identitySchema.safeParse(readJson(file));
  return parsed.success ? parsed.data : undefined;
}

function alreadyRunning(dataDir: DataDir, holder: ProcessIdentity): FettleError {
  const url = readState(dataDir)?.url;
  return new FettleError({
    code: 'already-running',
    message: `Fettle runs already on ${dataDir.path} (process ${holder.pid}${url === undefined ? '' : `, ${url}`}); nothing was changed`,
    remedy:
      'Use it as it is, or stop it with `npx fettle down`; --data-dir DIR and --port N start another one beside it.',
  });
}

/** Ends what a supervisor that was killed left running. Processes are matched by number and start time, never by name. */
export async function endOrphans(dataDir: DataDir, report: (line: string) => void): Promise<void> {
  const state = readState(dataDir);
  if (state === undefined) return;
  for (const child of [...state.children].reverse()) {
    if (!isStillRunning(child)) continue;
    report(`ending ${child.name} (process ${child.pid}), which an earlier start left behind`);
    // SIGINT is the signal that Postgres, Temporal and Node all take for "end now, in good order".
    const ended = await endProcess(child, [
      { signal: 'SIGINT', waitMs: 10_000 },
      { signal: 'SIGKILL', waitMs: 5_000 },
    ]);
    if (!ended) throw new FettleError({ code: 'orphan', message: `process ${child.pid} (${child.name}) does not end` });
  }
  rmSync(dataDir.stateFile, { force: true });
}
