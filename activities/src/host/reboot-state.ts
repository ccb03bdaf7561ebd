import { FettleError } from '@fettle/contracts';
import type { HostCommands } from '@fettle/drivers';
import { z } from 'zod';
import { rebootCommands } from './reboot.contract.js';

/** How the host was before it was rebooted: kept before it is, by the attempt's token. */
export const beforeRebootSchema = z.object({
  bootId: z.string(),
  kernel: z.string(),
  /** Null: no systemd that could tell. */
  failedUnits: z.array(z.string()).nullable(),
  reasons: z.array(z.string()),
});
export type BeforeReboot = z.output<typeof beforeRebootSchema>;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Id of the boot that the host is in (proc_sys_kernel(5), random/boot_id); null: it cannot be read. */
export async function readBootId(commands: HostCommands): Promise<string | null> {
  const text = (await commands.run(rebootCommands.bootId)).stdout.trim();
  return UUID.test(text) ? text : null;
}

export async function readKernel(commands: HostCommands): Promise<string> {
  return (await commands.run(rebootCommands.kernel)).stdout.trim();
}

/** Null where there is no systemd that answers. */
export async function readFailedUnits(commands: HostCommands): Promise<string[] | null> {
  const { exitCode, stdout } = await commands.run(rebootCommands.failedUnits);
  if (exitCode !== 0) return null;
  return stdout.split('\n').flatMap(
    (line) =>
      line
        .trim()
        .replace(/^[●*] /, '')
        .split(/\s+/)[0] || [],
  );
}

/** Whether systemd still starts units. */
export async function isStarting(commands: HostCommands): Promise<boolean> {
  const state = (await commands.run(rebootCommands.startup)).stdout.trim();
  return state === 'initializing' || state === 'starting';
}

/** After these a host may simply be on its way down or up; anything else is told. */
const awayCodes = new Set([
  'host-unreachable',
  'connection-lost',
  'command-timeout',
  'session-refused',
  'connection-limit',
  'jump-host-failed',
  'remote-shell-unusable',
  // PAM refuses everybody while systemd goes down or comes up (pam_nologin).
  'authentication-failed',
]);

export function isAway(error: unknown): boolean {
  return error instanceof FettleError && awayCodes.has(error.code);
}
