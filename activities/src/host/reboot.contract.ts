import { aptCommands, defineAction, dnfCommands, dnfLockFiles, durationSchema } from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';

/** Exit code of the request where somebody changes packages: it is made again. EX_TEMPFAIL of sysexits.h. */
export const REBOOT_BUSY = 75;

/** Reboots only out of the boot that is named: asked twice, it happens once. And not while a lock of dpkg, apt, rpm or dnf is held. */
const REBOOT_SCRIPT = [
  '[ "$(cat /proc/sys/kernel/random/boot_id)" = "$1" ] || exit 0',
  "locks='/var/lib/dpkg/lock|/var/lib/dpkg/lock-frontend|/var/lib/apt/lists/lock|/var/cache/apt/archives/lock'",
  "rpm='/(var/lib|usr/lib/sysimage)/rpm/[.]rpm[.]lock'",
  `lslocks -r -n -o PATH 2>/dev/null | grep -qxE "$locks|$rpm" && exit ${REBOOT_BUSY}`,
  // The number of the process that has a lock of dnf's stands in its file.
  `for file in ${dnfLockFiles.join(' ')}; do pid=$(cat "$file" 2>/dev/null) && [ -n "$pid" ] && [ -e "/proc/$pid/stat" ] && exit ${REBOOT_BUSY}; done`,
  'exec shutdown -r now fettle',
].join('; ');

export const rebootCommands = {
  bootId: ['cat', '/proc/sys/kernel/random/boot_id'],
  kernel: ['uname', '-r'],
  failedUnits: ['systemctl', 'list-units', '--state=failed', '--plain', '--no-legend', '--no-pager'],
  startup: ['systemctl', 'is-system-running'],
  /** Followed by the id of the boot that is to end. */
  reboot: ['/bin/sh', '-c', REBOOT_SCRIPT, 'fettle'],
} as const satisfies Record<string, readonly string[]>;

export const hostReboot = defineAction({
  name: 'host.reboot',
  version: 1,
  summary:
    'Reboots the target once its package manager is idle, waits for it, and proves that it came back by another boot, with its newest kernel and no unit that failed.',
  input: z.strictObject({
    /** `required`: only where the host asks for it; where that cannot be told, the step fails and says so. */
    when: z.enum(['required', 'always']).default('required'),
    /** How long a package manager that is at work is waited for. */
    lockWait: durationSchema.default('10m'),
    /** `require`: a unit that failed and had not before fails the step. `report`: it is only told. */
    units: z.enum(['require', 'report']).default('require'),
    become: becomeSchema.default(true),
  }),
  output: z.object({
    rebooted: z.boolean(),
    /** What asked for it. */
    reasons: z.array(z.string()),
    bootIdBefore: z.string(),
    bootIdAfter: z.string(),
    kernelBefore: z.string(),
    kernelAfter: z.string(),
    kernel: z.enum(['newest', 'unknown']),
    /** Units that failed since; null: no systemd that could tell. */
    newlyFailedUnits: z.array(z.string()).nullable(),
    /** For people: what could not be told, and why. */
    cannotTell: z.array(z.string()),
  }),
  scope: 'target',
  effect: () => 'mutating',
  // It ends its own connection: what became of it is asked later, by whoever claims the target then.
  detached: () => true,
  defaultTimeoutMs: 1_800_000,
  maxTimeoutMs: 6 * 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: null,
  changesFacts: true,
  render: (input) => ({
    argv: [
      aptCommands.installed,
      aptCommands.locks,
      aptCommands.journal,
      aptCommands.rebootFile,
      aptCommands.kernel,
      // On a host with dnf.
      dnfCommands.lockFiles,
      dnfCommands.rpmLock,
      dnfCommands.duplicates,
      dnfCommands.lastTransactions,
      dnfCommands.rebootHint,
      dnfCommands.kernels,
      ...Object.values(rebootCommands),
    ],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});
