import { FettleError, type PackageManager } from '@fettle/contracts';
import { aptProvider } from './apt/apt.js';
import type { HostCommands, PackageProvider } from './provider.js';

/** Of a host whose package manager is known already: asks it nothing. @throws FettleError `no-package-manager` */
export function providerOf(manager: PackageManager): PackageProvider {
  if (manager === 'apt') return aptProvider;
  throw new FettleError({
    code: 'no-package-manager',
    message: `"${manager}" is a package manager that this worker cannot speak to.`,
    remedy: 'Let a newer worker take the run up.',
  });
}

/** The package manager of a host. @throws FettleError `no-package-manager` */
export async function detectProvider(commands: HostCommands): Promise<PackageProvider> {
  if ((await commands.run(['apt-get', '--version'])).exitCode === 0) return aptProvider;
  throw new FettleError({
    code: 'no-package-manager',
    message: `${commands.host}: "apt-get --version" does not work there, and apt is the only package manager that is known so far.`,
    remedy: 'Leave the host out by the selector of the runbook.',
    detail: { host: commands.host, mayHaveStarted: false },
  });
}
