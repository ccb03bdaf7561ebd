import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Enough to tell a process from a later one with the same number. Written to `state.json`, so it must stay JSON. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Linux: clock ticks since boot (proc(5), field 22 of `stat`) and the boot id; elsewhere what `ps -o lstart` prints. */
  readonly startedAt: string;
  readonly commandLine: string;
}

/** The identity of a running process, or undefined when there is none (a zombie has ended and counts as none). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return process.platform === 'linux' ? identifyOnLinux(pid) : identifyWithPs(pid);
}

/** True only when the recorded process itself still runs: same number, same start, same boot. */
export function isStillRunning(identity: ProcessIdentity): boolean {
  const current = identifyProcess(identity.pid);
  return current !== undefined && current.startedAt === identity.startedAt;
}

export interface EndStep {
  readonly signal: NodeJS.Signals;
  readonly waitMs: number;
}

/**
 * Ends a recorded process with one signal after another. Never signals a process that is not the recorded one: the
 * start time is compared before each signal.
 * @returns true when the process is gone.
 */
export async function endProcess(identity: ProcessIdentity, steps: readonly EndStep[]): Promise<boolean> {
  for (const step of steps) {
    if (!isStillRunning(identity)) return true;
    try {
      process.kill(identity.pid, step.signal);
    } catch (error) {
      if (errorCode(error) === 'ESRCH') return true;
      throw error;
    }
    const deadline = Date.now() + step.waitMs;
    while (Date.now() < deadline) {
      if (!isStillRunning(identity)) return true;
      await delay(50);
    }
  }
  return !isStillRunning(identity);
}

export function delay(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** The `code` of a Node system error (`ENOENT`, `ESRCH` ...), or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function identifyOnLinux(pid: number): ProcessIdentity | undefined {
  try {
    const stat = parseProcStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined;
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    return { pid, startedAt: `${readBootId()}:${stat.startTicks}`, commandLine };
  } catch {
    return undefined;
  }
}

/** proc(5): the command name in parentheses may hold spaces and parentheses, so fields are counted from the last one. */
export function parseProcStat(text: string): { state: string; startTicks: string } | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = fields[19];
  return state === undefined || startTicks === undefined ? undefined : { state, startTicks };
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown-boot';
  }
}

function identifyWithPs(pid: number): ProcessIdentity | undefined {
  const result = spawnSync('ps', ['-o', 'stat=,lstart=,command=', '-p', String(pid)], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  const match = /^\s*(\S+)\s+(\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/.exec(result.stdout);
  if (!match || match[1]?.startsWith('Z')) return undefined;
  return { pid, startedAt: match[2] ?? '', commandLine: match[3] ?? '' };
}
