import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CHECKOUT } from '../../apps/cli/dist/up/data-dir.js';
import { listenersOf } from './listeners.js';
import { UpHarness } from './up-harness.js';

let harness: UpHarness;
beforeEach(() => {
  harness = new UpHarness({ folderMode: 0o711 });
});
afterEach(async () => {
  await harness.close();
});

function fettle(...args: string[]) {
  const { DATABASE_URL: _database, TEMPORAL_ADDRESS: _temporal, ...env } = process.env;
  const program = join(CHECKOUT, 'apps/cli/bin/fettle.mjs');
  return spawnSync(process.execPath, [program, ...args, '--data-dir', harness.dataDir], { env, encoding: 'utf8' });
}

interface Child {
  readonly name: string;
  readonly pid: number;
}

function statusIn(dataDir: string, text: string): { url: string; children: Child[] } {
  const { dataDir: shown, ...status } = JSON.parse(text) as { dataDir: string; url: string; children: Child[] };
  expect(shown).toBe(dataDir);
  return status;
}

/** A checkout of links whose `.fettle` is that data directory: the real one's may be in use. */
function checkoutWith(dataDir: string, folder: string): string {
  mkdirSync(join(folder, 'apps'), { recursive: true });
  // What finds the checkout by its own place must lie in this one.
  cpSync(join(CHECKOUT, 'apps/cli'), join(folder, 'apps/cli'), {
    recursive: true,
    filter: (path) => !/\/cli\/src(\/|$)/.test(path),
  });
  cpSync(join(CHECKOUT, 'package.json'), join(folder, 'package.json'));
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  for (const name of readdirSync(join(CHECKOUT, 'node_modules')).filter((entry) => !entry.startsWith('.'))) {
    symlinkSync(join(CHECKOUT, 'node_modules', name), join(folder, 'node_modules', name));
  }
  symlinkSync('../../apps/cli/bin/fettle.mjs', join(folder, 'node_modules/.bin/fettle'));
  symlinkSync(dataDir, join(folder, '.fettle'));
  return folder;
}

/** As a person types it there; `--no` so that npx would fetch nothing. */
function npxFettle(checkout: string, ...args: string[]) {
  const unwanted = /^(FETTLE_|DATABASE_URL$|TEMPORAL_|npm_)/i;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
  return spawnSync('npx', ['--no', 'fettle', ...args], { cwd: checkout, env, encoding: 'utf8' });
}

describe('the main job, from nothing', () => {
  it('runs across the demo estate as foretold, and a later start shows that run', async () => {
    const once = fettle('up', '--port', '0', '--once');
    expect([once.status, once.stderr]).toEqual([0, expect.stringContaining('hosts done: 22 succeeded')]);
    for (const state of ['failed', 'unreachable', 'quarantined']) {
      expect(once.stdout.split('\n').filter((line) => line.split(/\s+/)[1] === state)).toHaveLength(1);
    }
    const id = /Run (\S+) ended as the demo says it should/.exec(once.stdout)?.[1];
    expect(id).toBeDefined();

    const detached = fettle('up', '--port', '0', '--detach');
    expect([detached.status, detached.stdout]).toEqual([0, expect.stringContaining('sign-in token  fettle_')]);
    const runs = fettle('run', 'list', '-o', 'json');
    expect((JSON.parse(runs.stdout) as { id: string; state: string }[]).map((run) => run.id)).toEqual([id]);
    const { url, children } = statusIn(harness.dataDir, fettle('status', '-o', 'json').stdout);

    // Nobody else on the network reaches any of it.
    for (const { name, pid } of children) {
      const listeners = listenersOf(pid);
      expect([name, listeners.length > 0]).toEqual([name, name !== 'worker']);
      expect([name, listeners.filter((address) => !/^(127\.0\.0\.1|\[::1\]):/.test(address))]).toEqual([name, []]);
    }
    const elsewhere = url.replace('127.0.0.1', '127.0.0.2');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await expect(fetch(`${elsewhere}/healthz`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });

    const doctor = fettle('doctor');
    expect([doctor.status, doctor.stdout]).toEqual([0, expect.stringContaining(`  it runs: ${url} (ready)\n`)]);
    for (const { name, pid } of children) {
      expect(doctor.stdout).toContain(`  ok    child      ${name} runs (process ${pid})\n`);
    }

    // In the checkout nothing needs to be named.
    const checkout = checkoutWith(harness.dataDir, join(harness.folder, 'checkout'));
    const status = npxFettle(checkout, 'status', '-o', 'json');
    expect([status.status, statusIn(join(checkout, '.fettle'), status.stdout)]).toEqual([0, { url, children }]);
    const seen = npxFettle(checkout, 'run', 'list', '-o', 'json');
    expect([seen.status, seen.stdout]).toEqual([0, runs.stdout]);
    expect(fettle('down').status).toBe(0);
  }, 300_000);
});
