// A package archive that a test makes: small packages in several versions, in an archive and in one of security updates.
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DebianRoot } from './debian-root.js';

const run = promisify(execFile);

export interface TestPackage {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  /** Content of /etc/NAME.conf, a configuration file. */
  readonly conffile?: string;
  readonly preinst?: string;
  /** Script after `#!/bin/sh`. */
  readonly postinst?: string;
}

export type ArchiveName = 'main' | 'security' | 'testing';

const releases: Record<ArchiveName, Record<string, string>> = {
  main: { Origin: 'Debian', Label: 'Debian', Suite: 'stable', Codename: 'bookworm' },
  testing: { Origin: 'Debian', Label: 'Debian', Suite: 'testing', Codename: 'trixie' },
  security: { Origin: 'Debian', Label: 'Debian-Security', Suite: 'stable-security', Codename: 'bookworm-security' },
};

/** The archive inside of one root, under /srv. */
export class DebianRepository {
  private constructor(private readonly host: DebianRoot) {}

  static async create(host: DebianRoot): Promise<DebianRepository> {
    const repository = new DebianRepository(host);
    for (const name of ['main', 'security'] as const) await repository.#open(name);
    const lines = (['main', 'security'] as const).map((name) => `deb [trusted=yes] file:/srv/${name} ./\n`);
    await host.write('etc/apt/sources.list', lines.join(''));
    return repository;
  }

  /** A source of another release than the host's beside its own. */
  async addTesting(): Promise<void> {
    await this.#open('testing');
    await this.host.write('etc/apt/sources.list.d/testing.list', 'deb [trusted=yes] file:/srv/testing ./\n');
  }

  async #open(archive: ArchiveName): Promise<void> {
    await mkdir(this.host.path(`srv/${archive}`), { recursive: true });
    await this.#index(archive);
  }

  async add(archive: ArchiveName, ...packages: readonly TestPackage[]): Promise<void> {
    for (const one of packages) await this.#build(archive, one);
    await this.#index(archive);
  }

  /** Path of the package inside of the root. */
  file(archive: ArchiveName, { name, version }: TestPackage): string {
    return `/srv/${archive}/${name}_${version.replaceAll(':', '%3a')}_all.deb`;
  }

  async #build(archive: ArchiveName, one: TestPackage): Promise<void> {
    const folder = await mkdtemp(join(this.host.directory, 'package-'));
    await chmod(folder, 0o755);
    await mkdir(join(folder, 'DEBIAN'));
    await mkdir(join(folder, `usr/share/${one.name}`), { recursive: true });
    await writeFile(join(folder, `usr/share/${one.name}/version`), `${one.version}\n`);
    const fields = [
      `Package: ${one.name}`,
      `Version: ${one.version}`,
      'Architecture: all',
      'Maintainer: Test <test@example.com>',
      `Description: ${one.name} of a test`,
      ...(one.depends === undefined ? [] : [`Depends: ${one.depends}`]),
    ];
    await writeFile(join(folder, 'DEBIAN/control'), `${fields.join('\n')}\n`);
    if (one.conffile !== undefined) {
      await mkdir(join(folder, 'etc'));
      await writeFile(join(folder, `etc/${one.name}.conf`), one.conffile);
      await writeFile(join(folder, 'DEBIAN/conffiles'), `/etc/${one.name}.conf\n`);
    }
    for (const script of ['preinst', 'postinst'] as const) {
      if (one[script] !== undefined)
        await writeFile(join(folder, 'DEBIAN', script), `#!/bin/sh\n${one[script]}\n`, { mode: 0o755 });
    }
    await run('dpkg-deb', ['--root-owner-group', '-Znone', '--build', folder, this.host.path(this.file(archive, one))]);
    await rm(folder, { recursive: true });
  }

  async #index(archive: ArchiveName): Promise<void> {
    const cwd = this.host.path(`srv/${archive}`);
    const packages = await run('apt-ftparchive', ['packages', '.'], { cwd });
    await writeFile(join(cwd, 'Packages'), packages.stdout);
    const options = Object.entries(releases[archive]).flatMap(([key, value]) => [
      '-o',
      `APT::FTPArchive::Release::${key}=${value}`,
    ]);
    const release = await run('apt-ftparchive', [...options, 'release', '.'], { cwd });
    await writeFile(join(cwd, 'Release'), release.stdout);
  }
}
