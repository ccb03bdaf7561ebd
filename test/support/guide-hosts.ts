import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startSshd, type Sshd } from './sshd.js';

const shell = promisify(execFile);

/** Says what it was called with, and by whom, and does nothing; restic fails where a file tells it to. */
const stub = (folder: string): string => `#!/bin/sh
echo "$(id -un): \${0##*/} $*" >> ${folder}/calls
[ "$*" != check ] || [ ! -e ${folder}/broken ]
`;

/** One sshd on whose hosts the programs of the guide are others than the machine's own, with and without sudo. */
export class GuideHosts {
  private constructor(
    readonly sshd: Sshd,
    readonly folder: string,
    private readonly sudoers: string,
  ) {}

  static async start(programs: readonly string[]): Promise<GuideHosts> {
    const folder = await mkdtemp('/tmp/fettle-guide-');
    await chmod(folder, 0o777);
    const bin = join(folder, 'bin');
    await mkdir(bin, { mode: 0o755 });
    for (const program of programs) await writeFile(join(bin, program), stub(folder), { mode: 0o755 });
    await writeFile(join(folder, 'calls'), '');
    await chmod(join(folder, 'calls'), 0o666);
    const path = `${bin}:/usr/local/bin:/usr/bin:/bin`;
    const sshd = await startSshd({
      users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }],
      settings: [`SetEnv PATH=${path}`],
    });
    const { user } = sshd.account;
    const sudoers = `/etc/sudoers.d/${user}-path`;
    await writeFile(sudoers, `Defaults:${user} secure_path="${path}"\n`, { mode: 0o440 });
    return new GuideHosts(sshd, folder, sudoers);
  }

  /** What its programs were called with since the last time, in their order. */
  async calls(): Promise<string[]> {
    const text = await readFile(join(this.folder, 'calls'), 'utf8');
    await writeFile(join(this.folder, 'calls'), '');
    return text.split('\n').filter(Boolean);
  }

  /** Where a program is found by a command that becomes root: it must be ours before anything is asked to reboot. */
  async findsAsRoot(program: string): Promise<string> {
    const { user } = this.sshd.account;
    const asked = ['-u', user, 'sudo', '-n', 'sh', '-c', 'command -v "$1"', 'sh', program];
    return (await shell('sudo', ['-n', ...asked])).stdout.trim();
  }

  async stop(): Promise<void> {
    await rm(this.sudoers, { force: true });
    await this.sshd.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
