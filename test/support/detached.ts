import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  runDetached,
  type DetachedRequest,
  type DetachedState,
  type RunOnHost,
  type SshEndpoint,
} from '@fettle/drivers';
import { startSshBench, type SshBench } from './ssh-client.js';

export interface Detached {
  readonly state: DetachedState;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command ended of which nothing special is to be said. */
export const whole = { isTimeout: false, leftBehind: false, droppedBytes: 0 };

export function folderOf(user: string, token = ''): string {
  return join(`/var/tmp/fettle-${user}`, token);
}

export const newToken = (): string => randomBytes(16).toString('hex');

let marks = 0;
/** A number that no other process has in its arguments. */
export const newMark = (): string => `97${process.pid}${(marks += 1)}`;

export async function marked(mark: string): Promise<number> {
  const found = await promisify(execFile)('pgrep', ['-c', '-f', mark]).catch((error: { stdout: string }) => error);
  return Number(found.stdout);
}

/** Resolves when a condition holds; throws after half a minute. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries += 1) {
    if (tries > 600) throw new Error(`never: ${what}`);
    await sleep(50);
  }
}

export const hasBegun = (user: string, token: string): Promise<boolean> =>
  readFile(join(folderOf(user, token), 'begun'), 'utf8').then(
    (text) => text.endsWith('\n'),
    () => false,
  );

/** One sshd with two users, the second of whom sudo asks for a password. */
export class DetachedBench {
  constructor(readonly ssh: SshBench) {}

  static async start(): Promise<DetachedBench> {
    const users = [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }, { password: 'open sesame', sudoers: 'ALL=(ALL) ALL' }];
    return new DetachedBench(await startSshBench({ users }));
  }

  readonly onHost: RunOnHost = (request) => this.ssh.pool.exec(this.ssh.endpoint, this.ssh.credential, request);

  async run(
    request: Partial<DetachedRequest>,
    run: RunOnHost = this.onHost,
    endpoint: SshEndpoint = this.ssh.endpoint,
  ): Promise<Detached> {
    const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const state = await runDetached(run, endpoint, {
      token: newToken(),
      fence: 1,
      argv: ['true'],
      timeoutMs: 60_000,
      elapsedMs: 0,
      consumed: { stdout: 0, stderr: 0 },
      followMs: 20_000,
      signal: new AbortController().signal,
      onOutput: (stream, chunk) => void output[stream].push(Buffer.from(chunk)),
      ...request,
    });
    const text = (stream: 'stdout' | 'stderr'): string => Buffer.concat(output[stream]).toString();
    return { state, stdout: text('stdout'), stderr: text('stderr') };
  }

  /** The state of a command, asked for once and at once. */
  look(token: string, fence: number, more: Partial<DetachedRequest> = {}): Promise<Detached> {
    return this.run({ token, fence, elapsedMs: 1_000, followMs: 0, ...more });
  }

  async untilEnded(token: string, fence: number): Promise<Detached> {
    for (let tries = 0; tries < 100; tries += 1) {
      const seen = await this.look(token, fence, { followMs: 2_000 }).catch(() => undefined);
      if (seen !== undefined && seen.state.kind !== 'running') return seen;
      await sleep(200);
    }
    throw new Error('the command never ended');
  }

  async stop(): Promise<void> {
    await this.ssh.stop();
    for (const { user } of this.ssh.sshd.accounts) await rm(folderOf(user), { recursive: true, force: true });
  }
}
