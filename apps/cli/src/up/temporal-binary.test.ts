import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import { findTemporal, isAtLeast, obtainTemporal, parseServerVersion, temporalCacheFolder } from './temporal-binary.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fettle-temporal-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function executable(path: string, text: string): string {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Only the folder given is searched; the SDK's download finds a proxy at which nobody listens. */
function environment(path: string): NodeJS.ProcessEnv {
  return { PATH: path, XDG_CACHE_HOME: join(folder, 'cache'), HOME: folder, HTTPS_PROXY: 'http://127.0.0.1:1' };
}

const SAYS_VERSION = "echo 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)'";

describe('versions', () => {
  it('are read from what the CLI prints', () => {
    expect(parseServerVersion('temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)')).toEqual([1, 29, 1]);
    expect(parseServerVersion('temporal version 1.5.1')).toBeUndefined();
  });

  it('compare by number', () => {
    expect(isAtLeast([1, 27, 0], [1, 27, 0])).toBe(true);
    expect(isAtLeast([1, 9, 9], [1, 27, 0])).toBe(false);
    expect(isAtLeast([2, 0, 0], [1, 27, 0])).toBe(true);
  });
});

describe('findTemporal', () => {
  it('prefers the one named, then PATH, then the cache', async () => {
    const env = environment(join(folder, 'bin'));
    expect(await findTemporal(env)).toBeUndefined();
    const cached = executable(join(temporalCacheFolder(env), 'temporal'), SAYS_VERSION);
    expect(await findTemporal(env)).toBe(cached);
    const onPath = executable(join(folder, 'bin', 'temporal'), SAYS_VERSION);
    expect(await findTemporal(env)).toBe(onPath);
    const named = executable(join(folder, 'mine'), SAYS_VERSION);
    expect(await findTemporal({ ...env, FETTLE_TEMPORAL_CLI: named })).toBe(named);
  });

  it('passes over one that is too old', async () => {
    const env = environment(join(folder, 'bin'));
    executable(join(folder, 'bin', 'temporal'), "echo 'temporal version 0.10.0 (Server 1.22.0, UI 2.0.0)'");
    const cached = executable(join(temporalCacheFolder(env), 'temporal'), SAYS_VERSION);
    expect(await findTemporal(env)).toBe(cached);
  });
});

describe('obtainTemporal', () => {
  it('does not look elsewhere when the one that a person named is wrong', async () => {
    const env = { ...environment(folder), FETTLE_TEMPORAL_CLI: join(folder, 'missing') };
    await expect(obtainTemporal({ env, report: () => undefined })).rejects.toMatchObject({
      code: 'no-temporal',
      message: expect.stringContaining('does not exist') as unknown,
    });
  });

  it('builds with Go into the cache, whole or not at all', async () => {
    const env = environment(join(folder, 'bin'));
    // Stands for Go: where the module is, it "builds" a CLI that says its version. No network is touched.
    executable(
      join(folder, 'bin', 'go'),
      [
        'test "$1" = build && test -s go.sum || exit 9',
        `/bin/cp go.mod "${join(folder, 'module')}"`,
        `printf '#!/bin/sh\\n%s\\n' "${SAYS_VERSION}" > temporal && /bin/chmod 755 temporal`,
      ].join('\n'),
    );
    const lines: string[] = [];
    const path = await obtainTemporal({ env, report: (line) => lines.push(line) });
    expect(path).toBe(join(temporalCacheFolder(env), 'temporal'));
    expect(readdirSync(temporalCacheFolder(env))).toEqual(['temporal']);
    expect(lines.join('\n')).toContain('go build of github.com/temporalio/cli/cmd/temporal v1.5.1');
    // The folder of the cache tells one build from another, so it must say what is in it.
    const [, cli, sqlite] = /temporal-cli\/(v[\d.]+)-sqlite-(v[\d.]+)\/temporal$/.exec(path) ?? [];
    const module = readFileSync(join(folder, 'module'), 'utf8');
    expect(module).toContain(`github.com/temporalio/cli ${cli} `);
    expect(module).toContain(`modernc.org/sqlite ${sqlite} `);
  }, 60_000);

  it('names every way it tried, and what a person can do', async () => {
    const env = environment(join(folder, 'bin'));
    executable(join(folder, 'bin', 'go'), 'echo "no route to the module proxy" >&2; exit 1');
    const error = await obtainTemporal({ env, report: () => undefined }).catch((caught: unknown) => caught);
    if (!(error instanceof FettleError)) throw new Error('it succeeded');
    for (const part of ['FETTLE_TEMPORAL_CLI', 'PATH', 'cache', 'download', 'no route to the module proxy']) {
      expect(error.message).toContain(part);
    }
    expect(error.remedy).toContain('TEMPORAL_ADDRESS');
    expect(existsSync(join(temporalCacheFolder(env), 'temporal'))).toBe(false);
  }, 60_000);
});
