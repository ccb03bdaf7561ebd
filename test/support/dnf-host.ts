// A root whose packages are rpms and whose package manager is dnf, with sources of its own, an asset of a stack with a worker.
import type { RunDetail } from '@fettle/contracts';
import { DebianRoot } from './debian-root.js';
import { PatchHost } from './patch-host.js';
import { RpmRepository, type TestRpm } from './rpm-repository.js';
import { TestStack } from './stack.js';

/**
 * Debian's own dnf 4 and rpm, which are those of Fedora and Red Hat; the root around them stays a Debian, whose apt they know nothing
 * of, and Fettle is to see that rpm is the host's own. `dnf --installroot` from outside would ask this machine's processes and locks.
 */
export const startDnfRoot = (user: 'root' | 'ops' = 'ops'): Promise<DebianRoot> =>
  DebianRoot.start({ user, packages: ['dnf', 'dnf-plugins-core', 'rpm'] });

export class DnfHost extends PatchHost<RpmRepository> {
  /** With these packages installed, in the versions given. */
  static async begin(installed: readonly TestRpm[]): Promise<DnfHost> {
    const [stack, root] = await Promise.all([TestStack.create(), startDnfRoot()]);
    const host = new DnfHost(stack, root, await RpmRepository.create(root));
    await host.repository.add('base', ...installed);
    await root.inside('dnf', '-q', '-y', '--refresh', 'install', ...installed.map(({ name }) => name));
    await stack.addHosts(root, 1);
    host.worker = await stack.startWorker();
    return host;
  }

  /** Result of each package, as the ledger has it of the last installation of a run. */
  async results(run: RunDetail): Promise<Record<string, string>> {
    const rows: { results: { name: string; to: string; state: string }[] }[] = await this.stack.dataSource.query(
      `SELECT results FROM patch_install WHERE run_id = $1 ORDER BY started_at DESC LIMIT 1`,
      [run.id],
    );
    return Object.fromEntries((rows[0]?.results ?? []).map(({ name, to, state }) => [name, `${to} ${state}`]));
  }

  /** Why packages were left alone. */
  async skipped(run: RunDetail): Promise<Record<string, string>> {
    const { skipped } = (await this.output(run)) as { skipped: { name: string; reason: string }[] };
    return Object.fromEntries(skipped.map(({ name, reason }) => [name, reason]));
  }

  /** Starts an installation and does not wait for it. */
  async beginInstall(input: Record<string, unknown>): Promise<{ id: string }> {
    const name = `begun-${(this.#begun += 1)}`;
    await this.stack.addRunbook(name, { targets: 'true', steps: [{ id: 'step', uses: 'patch.install', with: input }] });
    return this.stack.start(name);
  }

  /** `1.0-1`, with the epoch where there is one; all of them, where there are several. */
  async version(name: string): Promise<string> {
    const format = '%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n';
    return (await this.root.inside('rpm', '-q', '--qf', format, name)).trim().split('\n').sort().join(' ');
  }

  /** Another dnf at work, by a lock file of dnf's with the number of a process that is there, until it is released. */
  async lock(file: string): Promise<{ release: () => Promise<void> }> {
    await this.root.inside('rm', '-f', '/tmp/locked', '/tmp/release');
    const child = await this.root.background(
      'sh',
      '-c',
      `echo $$ > ${file}; touch /tmp/locked; until [ -e /tmp/release ]; do sleep 0.1; done`,
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    await this.root.inside('sh', '-c', 'until [ -e /tmp/locked ]; do sleep 0.1; done');
    return {
      release: async () => {
        await this.root.write('tmp/release', '');
        await exited;
      },
    };
  }

  #begun = 0;
}
