import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const NOBODY = '65534';
const script = fileURLToPath(new URL('../support/debian-packages.mjs', import.meta.url));

describe('packages that tests need', () => {
  let copy: string;

  beforeAll(() => {
    // Where an ordinary user can read it: a checkout may lie where only root may enter.
    const folder = mkdtempSync(join(tmpdir(), 'fettle-packages-'));
    chmodSync(folder, 0o755);
    copy = join(folder, 'debian-packages.mjs');
    copyFileSync(script, copy);
    chmodSync(copy, 0o644);
  });
  afterAll(() => rmSync(join(copy, '..'), { recursive: true, force: true }));

  function asOrdinaryUser(...names: string[]) {
    const argv = [process.execPath, copy, ...names];
    const drop = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
    const [command = '', ...args] = process.getuid?.() === 0 ? [...drop, ...argv] : argv;
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', cwd: '/' });
    return { status, stdout, stderr };
  }

  it('are listed, those that are missing, to an ordinary user, and the test run fails', () => {
    expect(asOrdinaryUser('dpkg', 'fettle-no-such-package', 'fettle-nor-such')).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'These tests need packages that are missing; install them with: sudo apt-get install fettle-no-such-package fettle-nor-such\n',
    });
  });

  it('are no obstacle where they are there, and no way into a command line', () => {
    expect(asOrdinaryUser('dpkg')).toEqual({ status: 0, stdout: 'already there: dpkg\n', stderr: '' });
    expect(asOrdinaryUser('dpkg', '--admindir=/')).toMatchObject({ status: 1, stdout: '' });
  });
});
