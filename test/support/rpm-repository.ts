// Sources of rpm packages that a test makes: small packages in several versions, in a base and in updates with advisories.
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DebianRoot } from './debian-root.js';
import { ensureDebianPackages } from './debian-packages.js';

const run = promisify(execFile);

export interface TestRpm {
  readonly name: string;
  /** The release is 1 always: `2.0` is `2.0-1`. */
  readonly version: string;
  readonly epoch?: number;
  /** For the architecture of this machine, not for any. */
  readonly isNative?: boolean;
  readonly requires?: string;
  readonly obsoletes?: string;
  /** Content of /etc/NAME.conf, a configuration file. */
  readonly conffile?: string;
  /** Content of /usr/share/NAME/version; otherwise the version. */
  readonly content?: string;
  /** Scripts for /bin/sh. */
  readonly pre?: string;
  readonly post?: string;
}

export interface TestAdvisory {
  readonly id: string;
  readonly type: 'security' | 'bugfix';
  readonly severity?: string;
  readonly packages: readonly Pick<TestRpm, 'name' | 'version' | 'epoch'>[];
}

const sources = ['base', 'updates'] as const;
export type RpmSource = (typeof sources)[number];

/**
 * The sources of one root, under /srv, and what makes a root of dnf's of it: there rpm's database is its own as in Fedora and Red Hat,
 * with a package `rpm` that has brought the shell, and dnf is set up as it comes with these.
 */
export class RpmRepository {
  readonly #advisories: TestAdvisory[] = [];

  private constructor(private readonly host: DebianRoot) {}

  static async create(host: DebianRoot): Promise<RpmRepository> {
    await ensureDebianPackages(['rpm', 'createrepo-c']);
    // Debian keeps rpm's database in the user's home, since it is not its own.
    await host.write('etc/rpm/macros', '%_dbpath /var/lib/rpm\n');
    const settings = ['gpgcheck=True', 'installonly_limit=3', 'clean_requirements_on_remove=True', 'best=True'];
    await host.write('etc/dnf/dnf.conf', ['[main]', ...settings, 'skip_if_unavailable=False', ''].join('\n'));
    await host.write('etc/dnf/vars/releasever', '9\n');
    await host.write('etc/dnf/plugins/local.conf', '[main]\nenabled=0\n');
    const repository = new RpmRepository(host);
    for (const name of sources) {
      await mkdir(host.path(`srv/${name}`), { recursive: true });
      await repository.#index(name);
      await host.write(
        `etc/yum.repos.d/${name}.repo`,
        `[${name}]\nname=${name}\nbaseurl=file:///srv/${name}\ngpgcheck=0\n`,
      );
    }
    await repository.#build('base', { name: 'rpm', version: '4.18' }, ['Provides: /bin/sh']);
    await repository.#index('base');
    await host.inside('dnf', '-q', '-y', 'install', 'rpm');
    return repository;
  }

  async add(source: RpmSource, ...packages: readonly TestRpm[]): Promise<void> {
    for (const one of packages) await this.#build(source, one);
    await this.#index(source);
  }

  /** Adds an advisory to the source of updates. */
  async advise(...advisories: readonly TestAdvisory[]): Promise<void> {
    this.#advisories.push(...advisories);
    await this.#index('updates');
  }

  /** Path of the package inside of the root. */
  file(source: RpmSource, { name, version }: Pick<TestRpm, 'name' | 'version'>): string {
    return `/srv/${source}/${name}-${version}-1.noarch.rpm`;
  }

  async #build(source: RpmSource, one: TestRpm, more: readonly string[] = []): Promise<void> {
    const folder = await mkdtemp(join(this.host.directory, 'package-'));
    await chmod(folder, 0o755);
    const shared = `usr/share/${one.name}/version`;
    const files = [{ path: shared, text: one.content ?? one.version, is: '' }];
    if (one.conffile !== undefined)
      files.push({ path: `etc/${one.name}.conf`, text: one.conffile.trimEnd(), is: '%config(noreplace) ' });
    const field = (name: string, value: string | number | undefined): string[] =>
      value === undefined ? [] : [`${name}: ${value}`];
    const spec = [
      `Name: ${one.name}`,
      ...field('Epoch', one.epoch),
      `Version: ${one.version}`,
      'Release: 1',
      `Summary: ${one.name} of a test`,
      'License: none',
      ...(one.isNative === true ? [] : ['BuildArch: noarch']),
      ...field('Requires', one.requires),
      ...field('Obsoletes', one.obsoletes),
      ...more,
      '%description',
      'Of a test.',
      '%install',
      ...files.flatMap(({ path }) => [
        `mkdir -p "%{buildroot}/$(dirname ${path})"`,
        `cp ${join(folder, 'files', path)} %{buildroot}/${path}`,
      ]),
      ...(one.pre === undefined ? [] : ['%pre', one.pre]),
      ...(one.post === undefined ? [] : ['%post', one.post]),
      '%files',
      ...files.map(({ path, is }) => `${is}/${path}`),
      '',
    ];
    for (const { path, text } of files) {
      await mkdir(join(folder, 'files', path, '..'), { recursive: true });
      await writeFile(join(folder, 'files', path), `${text}\n`);
    }
    await writeFile(join(folder, 'package.spec'), spec.join('\n'));
    const defines = {
      _topdir: folder,
      _rpmdir: this.host.path(`srv/${source}`),
      _build_name_fmt: '%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm',
    };
    const options = Object.entries(defines).flatMap(([key, value]) => ['--define', `${key} ${value}`]);
    await run('rpmbuild', ['-bb', '--quiet', ...options, join(folder, 'package.spec')]);
    await rm(folder, { recursive: true });
  }

  async #index(source: RpmSource): Promise<void> {
    const folder = this.host.path(`srv/${source}`);
    await run('createrepo_c', ['--quiet', folder]);
    if (source !== 'updates' || this.#advisories.length === 0) return;
    const file = join(this.host.directory, 'updateinfo.xml');
    await writeFile(
      file,
      `<?xml version="1.0"?>\n<updates>\n${this.#advisories.map(advisoryXml).join('')}</updates>\n`,
    );
    await run('modifyrepo_c', ['--mdtype=updateinfo', file, join(folder, 'repodata')]);
  }
}

function advisoryXml({ id, type, severity, packages }: TestAdvisory): string {
  const listed = packages.map(({ name, version, epoch = 0 }) => {
    const attributes = `name="${name}" version="${version}" release="1" epoch="${epoch}" arch="noarch" src="${name}.src.rpm"`;
    return `<package ${attributes}><filename>${name}-${version}-1.noarch.rpm</filename></package>`;
  });
  return [
    `<update from="test@example.com" status="final" type="${type}" version="1">`,
    `<id>${id}</id><title>${id}</title><issued date="2026-11-01 00:00:00"/><release>9</release>`,
    ...(severity === undefined ? [] : [`<severity>${severity}</severity>`]),
    `<description>Of a test.</description><references/>`,
    `<pkglist><collection short="test"><name>test</name>${listed.join('')}</collection></pkglist>`,
    '</update>\n',
  ].join('\n');
}
