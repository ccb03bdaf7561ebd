import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { FettleError } from '@fettle/contracts';

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Created only when root starts the stack and the machine has no user `postgres`. */
export const FALLBACK_USER = 'fettle-postgres';

/** Finds a user in the text of passwd(5). */
export function findUser(passwd: string, name: string): SystemUser | undefined {
  for (const line of passwd.split('\n')) {
    const fields = line.split(':');
    if (fields[0] !== name) continue;
    const uid = Number(fields[2]);
    const gid = Number(fields[3]);
    if (Number.isSafeInteger(uid) && Number.isSafeInteger(gid) && uid !== 0) return { name, uid, gid };
  }
  return undefined;
}

/**
 * The user that Postgres must run as: undefined (this very user) unless this process is root, which Postgres refuses.
 * @param report is told when a system user had to be created.
 */
export function databaseUser(report: (line: string) => void): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', FALLBACK_USER]) {
    const found = lookUpUser(name);
    if (found !== undefined) return found;
  }
  const created = spawnSync(
    'useradd',
    [
      '--system',
      '--user-group',
      '--no-create-home',
      '--home-dir',
      '/nonexistent',
      '--shell',
      '/usr/sbin/nologin',
      FALLBACK_USER,
    ],
    { encoding: 'utf8' },
  );
  const user = lookUpUser(FALLBACK_USER);
  if (user === undefined) {
    throw new FettleError({
      code: 'no-database-user',
      message: `Postgres must not run as root, and the system user ${FALLBACK_USER} could not be created: ${created.error?.message ?? created.stderr.trim()}`,
      remedy: `Create it (useradd --system ${FALLBACK_USER}) or run as an ordinary user.`,
    });
  }
  report(`created the system user ${FALLBACK_USER}, because Postgres refuses to run as root`);
  return user;
}

/** Whether the user may search a folder (all its parents included), asked of the kernel rather than computed from modes. */
export function canEnter(folder: string, user: SystemUser): boolean {
  const result = spawnSync('/usr/bin/test', ['-x', folder], {
    uid: user.uid,
    gid: user.gid,
    cwd: '/',
    stdio: 'ignore',
  });
  return result.status === 0;
}

function lookUpUser(name: string): SystemUser | undefined {
  try {
    return findUser(readFileSync('/etc/passwd', 'utf8'), name);
  } catch {
    return undefined;
  }
}
