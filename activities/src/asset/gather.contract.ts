import { defineAction } from '@fettle/contracts';
import { z } from 'zod';

/** Read-only commands whose output `asset.gather` reads; each may fail without failing the others. */
export const gatherCommands = {
  osRelease: ['cat', '/etc/os-release'],
  uname: ['uname', '-srm'],
  memory: ['cat', '/proc/meminfo'],
  disks: ['df', '-P', '-k'],
  addresses: ['hostname', '-I'],
  hostname: ['hostname'],
  machineId: ['cat', '/etc/machine-id'],
  serial: ['cat', '/sys/class/dmi/id/product_serial'],
  bootId: ['cat', '/proc/sys/kernel/random/boot_id'],
  dpkg: ['dpkg-query', '-W', '-f=${Package}\\t${Version}\\t${db:Status-Status}\\n'],
  rpm: ['rpm', '-qa', '--qf', '%{NAME}\\t%{VERSION}-%{RELEASE}\\tinstalled\\n'],
} as const satisfies Record<string, readonly string[]>;

export type GatherName = keyof typeof gatherCommands;

/** Which of the commands are run, in order. */
export function gatherNames(input: { readonly packages: boolean }): readonly GatherName[] {
  const names = Object.keys(gatherCommands) as GatherName[];
  return names.filter((name) => input.packages || (name !== 'dpkg' && name !== 'rpm'));
}

export const assetGather = defineAction({
  name: 'asset.gather',
  version: 1,
  summary: 'Reads facts and identifiers of the target over SSH and stores them with source and time.',
  input: z.strictObject({
    /** Packages are many: leave them out where nobody asks for them. */
    packages: z.boolean().default(true),
  }),
  output: z.object({
    os: z.object({ family: z.string(), name: z.string(), version: z.string() }).partial(),
    kernel: z.string().optional(),
    packageCount: z.int().optional(),
    missing: z.array(z.string()),
  }),
  scope: 'target',
  effect: () => 'read-only',
  defaultTimeoutMs: 120_000,
  maxTimeoutMs: 600_000,
  secretInputs: [],
  compensation: null,
  probe: null,
  changesFacts: true,
  render: (input) => ({ argv: gatherNames(input).map((name) => gatherCommands[name]), files: [], calls: [] }),
});
