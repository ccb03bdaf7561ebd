import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const APT_TIMEOUT_MS = 10 * 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Packages of `names` that are not installed. */
export async function missingDebianPackages(names) {
  // dpkg-query fails for a name it never heard of, but lists the others.
  const { stdout } = await run('dpkg-query', ['-W', '-f=${Package}\t${Status}\n', ...names]).catch((error) => error);
  const installed = new Set();
  for (const line of String(stdout ?? '').split('\n')) {
    const [name, status] = line.split('\t');
    if (status === 'install ok installed') installed.add(name);
  }
  return names.filter((name) => !installed.has(name));
}

function isDebian() {
  if (!existsSync('/etc/os-release')) return false;
  return /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'));
}

function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // A second test run beside this one may hold the lock; apt waits for it.
  return run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
    env,
    timeout: APT_TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
  });
}

/**
 * Installs the Debian packages that tests need and that are missing. Nothing is skipped in silence: where it cannot install
 * them, it throws and lists them.
 * @param {readonly string[]} names
 * @returns {Promise<string[]>} what was installed now
 */
export async function ensureDebianPackages(names) {
  for (const name of names) {
    if (!/^[a-z0-9][a-z0-9+.-]*$/.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a Debian package`);
  }
  if (!isDebian()) {
    throw new Error(`These tests need Debian's packages ${names.join(', ')}; run them on Debian 12.`);
  }
  const missing = await missingDebianPackages(names);
  if (missing.length === 0) return [];
  if (process.getuid?.() !== 0) {
    throw new Error(
      `These tests need packages that are missing; install them with: sudo apt-get install ${missing.join(' ')}`,
    );
  }
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  // Without package lists, or with old ones, the first try fails.
  await apt(install).catch(async () => {
    await apt(['update']);
    await apt(install);
  });
  const still = await missingDebianPackages(missing);
  if (still.length > 0) throw new Error(`apt-get did not install ${still.join(', ')}`);
  return missing;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const names = process.argv.slice(2);
  if (names.length === 0) {
    console.error('usage: node test/support/debian-packages.mjs PACKAGE...');
    process.exit(2);
  }
  try {
    const installed = await ensureDebianPackages(names);
    console.log(installed.length > 0 ? `installed ${installed.join(', ')}` : `already there: ${names.join(', ')}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}
