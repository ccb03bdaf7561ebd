import { must as mustWork, type HostCommandEnd, type HostCommands } from '../provider.js';

/** Standard output of a command of dnf or rpm that has to succeed. @throws FettleError `package-manager-failed` */
export function must(commands: HostCommands, argv: readonly string[]): Promise<string> {
  return mustWork(commands, argv, remedyOf);
}

function remedyOf({ stderr, stdout }: HostCommandEnd): string {
  const said = `${stderr}\n${stdout}`;
  if (/no cache for/.test(said)) return 'Read the lists of the sources first: leave "refresh" at true.';
  // It may well be wrong to rebuild it: a disk may be full, or another host's file system mounted there.
  if (/rpmdb|database|Berkeley/i.test(said))
    return 'Look at the database of packages on the host: "rpmdb --verifydb"; "rpmdb --rebuilddb" rebuilds it (copy it away before).';
  return 'Run the command on the host and mend what it complains of.';
}
