// Plain JavaScript without dependencies: `npm start` needs these checks before anything is installed or compiled,
// and `fettle doctor` shows the same ones. Types: preflight.d.mts.
import { spawnSync } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';

/** node_modules, the builds, Temporal's build cache and a little data. */
const MIN_FREE_INSTALL_BYTES = 3 * 2 ** 30;
const MIN_FREE_RUN_BYTES = 512 * 2 ** 20;

export function checkNode(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const ok = (major === 20 && minor >= 20) || (major === 22 && minor >= 12) || major > 22;
  return result('node', ok, `Node.js ${version}`, 'Install Node.js 20.20 or later of 20, or 22.12 or later.');
}

export function checkNpm() {
  const found = spawnSync('npm', ['--version'], { encoding: 'utf8' });
  const version = found.status === 0 ? found.stdout.trim() : undefined;
  const ok = version !== undefined && Number(version.split('.')[0]) >= 11;
  return result(
    'npm',
    ok,
    version === undefined ? 'npm was not found' : `npm ${version}`,
    'Run: npm install --global npm@11',
  );
}

/** @param folder need not exist yet: its nearest parent that does is asked. */
export function checkDisk(folder, purpose) {
  let place = folder;
  while (!existsSync(place)) place = dirname(place);
  const { bavail, bsize } = statfsSync(place);
  const freeBytes = bavail * bsize;
  const wanted = purpose === 'install' ? MIN_FREE_INSTALL_BYTES : MIN_FREE_RUN_BYTES;
  const remedy = `Free at least ${gib(wanted)} GiB there, or use another place (--data-dir).`;
  return result(
    purpose === 'install' ? 'disk' : 'data disk',
    freeBytes >= wanted,
    `${gib(freeBytes)} GiB free in ${place}`,
    remedy,
  );
}

/** Only shown, never a reason to stop: the database carries its own locale data. */
export function checkLocale(env = process.env) {
  const name = env.LC_ALL || env.LC_CTYPE || env.LANG || 'C';
  const ok = /utf-?8/i.test(name);
  return {
    ...result(
      'locale',
      ok,
      `the locale is ${name}`,
      'Run: export LC_ALL=C.UTF-8 (names outside ASCII may be shown wrongly).',
    ),
    fatal: false,
  };
}

/** @param describeHolder tells who listens on a port, where that is known. */
export async function checkPort(port, host, describeHolder = () => undefined) {
  if (port === 0) return result('port', true, 'a free port is chosen', '');
  const code = await new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error.code ?? 'EUNKNOWN'));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve('')));
  });
  if (code === '') return result('port', true, `port ${port} on ${host} is free`, '');
  if (code === 'EADDRINUSE') {
    const holder = describeHolder(port) ?? 'another process';
    return result(
      'port',
      false,
      `port ${port} on ${host} is taken by ${holder}`,
      'Stop it, or choose another with --port N.',
    );
  }
  return result('port', false, `port ${port} on ${host} cannot be used (${code})`, 'Choose another with --port N.');
}

function result(name, ok, detail, remedy) {
  return { name, ok, detail, remedy: ok ? '' : remedy, fatal: true };
}

function gib(bytes) {
  return (bytes / 2 ** 30).toFixed(1);
}
