// Short commands on a Debian root, over the real transport.
import { setTimeout as sleep } from 'node:timers/promises';
import { packageEnvironment } from '@fettle/contracts';
import type { HostCommands, SshPool } from '@fettle/drivers';
import type { DebianRoot } from './debian-root.js';

const TIMEOUT_MS = 120_000;

export async function hostCommands(host: DebianRoot, pool: SshPool): Promise<HostCommands> {
  const endpoint = { host: host.address(0), port: host.port, user: host.account.user, hostKeys: await host.hostKeys() };
  const credential = { kind: 'private-key' as const, privateKey: host.account.privateKey };
  return {
    host: 'debian',
    note: () => undefined,
    sleep: async (ms) => void (await sleep(ms)),
    run: async (argv) => {
      const said = { stdout: '', stderr: '' };
      const end = await pool.exec(endpoint, credential, {
        argv,
        env: packageEnvironment,
        become: { user: 'root' },
        timeoutMs: TIMEOUT_MS,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        onOutput: (stream, chunk) => void (said[stream] += chunk.toString()),
      });
      if ('signal' in end) throw new Error(`${argv.join(' ')} was ended by ${end.signal}`);
      return { exitCode: end.exitCode, ...said };
    },
  };
}
