import { aptCommands, dnfCommands, FettleError, type PackageManager } from '@fettle/contracts';
import { aptProvider } from './apt/apt.js';
import { dnfProvider } from './dnf/dnf.js';
import type { HostCommands, PackageProvider } from './provider.js';

const providers = { apt: aptProvider, dnf: dnfProvider } as const satisfies Record<PackageManager, PackageProvider>;

/** Of a host whose package manager is known already: asks it nothing. */
export function providerOf(manager: PackageManager): PackageProvider {
  return providers[manager];
}

/** The package manager of a host. @throws FettleError `no-package-manager` */
export async function detectProvider(commands: HostCommands): Promise<PackageProvider> {
  const works = async (argv: readonly string[]): Promise<boolean> => (await commands.run(argv)).exitCode === 0;
  // Each can be installed as a tool on hosts of the other: what rpm knows itself of is its own.
  if ((await works(aptCommands.version)) && !(await works(dnfCommands.owner))) return aptProvider;
  const dnf = await commands.run(dnfCommands.version);
  const [major] = /^\d+/.exec(dnf.stdout) ?? [];
  if (dnf.exitCode === 0 && major === '4') return dnfProvider;
  const what =
    dnf.exitCode === 0
      ? `its dnf is of another version ("${dnf.stdout.split('\n')[0]?.trim() ?? ''}"), and only dnf 4 is known so far`
      : 'neither "apt-get --version" nor "dnf --version" works there, and these are the package managers that are known so far';
  throw new FettleError({
    code: 'no-package-manager',
    message: `${commands.host}: ${what}.`,
    remedy: 'Leave the host out by the selector of the runbook.',
    detail: { host: commands.host, mayHaveStarted: false },
  });
}
