import { releaseCommand, releaseOf, type HostPackages } from '@fettle/contracts';
import type { HostCommands, PackageProvider } from '@fettle/drivers';

/** What the package manager says, and which release it is: versions of one are not those of another. Changes nothing. */
export async function readHost(provider: PackageProvider, commands: HostCommands): Promise<HostPackages> {
  const host = await provider.read(commands);
  const { exitCode, stdout } = await commands.run(releaseCommand);
  return { ...host, release: exitCode === 0 ? releaseOf(stdout) : null };
}
