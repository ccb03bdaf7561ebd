import { FettleError } from '@fettle/contracts';
import type { SshEndpoint } from './types.js';

/**
 * Stable codes of the SSH transport. Each error's detail has `host`, `port`, `user` and `mayHaveStarted`: false only where it
 * is certain that the command did not run, so that the caller may try again.
 */
export type SshErrorCode =
  | 'host-unreachable'
  | 'host-key-mismatch'
  | 'host-key-unpinned'
  /** Of a host behind jump hosts: `detail.hop` names the one that failed, `detail.hopCode` says how. */
  | 'jump-host-failed'
  | 'authentication-failed'
  | 'invalid-credential'
  | 'invalid-argument'
  | 'session-refused'
  | 'connection-limit'
  | 'connection-lost'
  | 'command-timeout'
  | 'cancelled'
  | 'become-failed'
  | 'working-directory-unavailable'
  | 'remote-shell-unusable'
  | 'output-sink-failed'
  | 'stdin-source-failed'
  | 'file-put-failed'
  | 'file-look-failed'
  | 'file-restore-failed'
  | 'detach-impossible'
  | 'stale-request';

export interface SshErrorOptions {
  readonly code: SshErrorCode;
  /** What happened, continuing `user@host:port: `. */
  readonly what: string;
  readonly remedy?: string | undefined;
  readonly mayHaveStarted: boolean;
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

/** `user` is null where nobody was to sign in: the host was only looked at. */
type Place = Pick<SshEndpoint, 'host' | 'port'> & { readonly user: string | null };

export function sshError(place: Place, options: SshErrorOptions): FettleError {
  return new FettleError({
    code: options.code,
    message: `${place.user === null ? '' : `${place.user}@`}${place.host}:${place.port}: ${options.what}`,
    remedy: options.remedy,
    detail: {
      host: place.host,
      port: place.port,
      user: place.user,
      mayHaveStarted: options.mayHaveStarted,
      ...options.detail,
    },
    cause: options.cause,
  });
}

/** Whether an error leaves open that the command ran. Anything unknown leaves it open. */
export function mayHaveStarted(error: unknown): boolean {
  return !(error instanceof FettleError && error.detail?.['mayHaveStarted'] === false);
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function cancelledError(
  place: Place,
  started: boolean,
  detail?: Readonly<Record<string, unknown>>,
): FettleError {
  return sshError(place, {
    code: 'cancelled',
    what: started ? 'the command was cancelled' : 'cancelled before the command was sent',
    mayHaveStarted: started,
    detail,
  });
}
