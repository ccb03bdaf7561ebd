import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FettleError } from '@fettle/contracts';

/** Key files have a few hundred bytes. */
const maxKeyFileBytes = 64 * 1024;

/**
 * The text of a key file that only its owner can read. Throws `not-found` where there is none, `unsafe-key-file` where it is no
 * plain file, belongs to somebody else, or group or others may read or write it, `invalid-key-file` where it is empty or huge.
 */
export async function loadKeyFile(path: string): Promise<string> {
  let file: FileHandle;
  try {
    // O_NONBLOCK: a FIFO in its place must not hang the start.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw cannotOpen(path, cause);
  }
  try {
    // The open file is judged, not the path, which could be another file a moment later.
    const { mode, uid, size } = await assertSafe(path, file);
    if (size === 0 || size > maxKeyFileBytes) {
      throw new FettleError({
        code: 'invalid-key-file',
        message: `the key file ${path} has ${size} bytes, not 1 to ${maxKeyFileBytes}`,
        remedy: 'Restore it from its backup.',
        detail: { path, size, mode: mode.toString(8), uid },
      });
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/**
 * Loads a key file, or creates it (mode 0600, folders 0700) with what `generate` gives. Of several processes that start at
 * once, one creates it and the others load the same; none ever sees half a file.
 */
export async function loadOrCreateKeyFile(path: string, generate: () => string): Promise<string> {
  try {
    return await loadKeyFile(path);
  } catch (error) {
    if (!(error instanceof FettleError && error.code === 'not-found')) throw error;
  }
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}-${randomBytes(6).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    try {
      await file.writeFile(generate());
      await file.sync();
    } finally {
      await file.close();
    }
    // link(2) fails where the name exists: unlike rename it never replaces a key that others already use.
    await link(draft, path).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft);
  }
  await syncFolder(folder);
  return loadKeyFile(path);
}

async function assertSafe(path: string, file: FileHandle): Promise<{ mode: number; uid: number; size: number }> {
  const stat = await file.stat();
  const mode = stat.mode & 0o777;
  const userId = process.getuid?.();
  let why: string | null = null;
  let remedy = `Run: chmod 600 ${path}; if others could read it for some time, replace the key.`;
  if (!stat.isFile()) {
    why = 'is not a plain file';
    remedy = 'Put the key into a plain file, or name another path.';
  } else if (userId !== undefined && stat.uid !== userId && stat.uid !== 0) {
    why = `belongs to user ${stat.uid}, not to user ${userId} who runs this process`;
    remedy = `Run: chown ${userId} ${path}; if its owner should not know the key, replace it.`;
  } else if (userId !== undefined && (mode & 0o077) !== 0) {
    why = `has mode ${mode.toString(8).padStart(4, '0')}: its group or others may read or write it`;
  }
  if (why === null) return { mode, uid: stat.uid, size: stat.size };
  throw new FettleError({ code: 'unsafe-key-file', message: `the key file ${path} ${why}`, remedy, detail: { path } });
}

/** Makes the new name survive a power cut. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function cannotOpen(path: string, cause: unknown): FettleError {
  if (errorCode(cause) === 'ENOENT') {
    return new FettleError({ code: 'not-found', message: `there is no key file ${path}`, detail: { path }, cause });
  }
  return new FettleError({
    code: 'unsafe-key-file',
    message: `the key file ${path} cannot be read (${errorCode(cause) ?? 'unknown error'})`,
    remedy: 'It must belong to the user who runs this process and have mode 0600.',
    detail: { path },
    cause,
  });
}

/** By shape, not `instanceof`: an error of another realm (a VM context) has the code too. */
function errorCode(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}
