/** How to reach an SSH server. */
export interface SshEndpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Pinned keys as lines of the form `ssh-ed25519 AAAA...` (a comment may follow). Empty: every connection is refused. */
  readonly hostKeys: readonly string[];
  /** The host that it is reached through; at most `MAX_JUMPS` one behind the other. */
  readonly jump?: SshJump | undefined;
}

/** A jump host, with its own pinned keys and credential. */
export interface SshJump {
  /** For messages. */
  readonly name: string;
  readonly endpoint: SshEndpoint;
  readonly credential: SshCredential;
}

export type SshCredential =
  | { readonly kind: 'private-key'; readonly privateKey: string; readonly passphrase?: string | undefined }
  | { readonly kind: 'password'; readonly password: string };

/** Become another user through sudo. Without a password sudo must not ask for one (`sudo -n`). */
export interface Become {
  /** Default `root`. */
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

export interface ExecRequest {
  /** Program and arguments; each reaches the program as one argument, byte for byte. */
  readonly argv: readonly string[];
  readonly stdin?: Buffer | AsyncIterable<Buffer> | undefined;
  /** With `become` never in the process list; without it for a moment, in the line of the shell that becomes the command. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly become?: Become | undefined;
  /** Counts from the moment the command is first sent; connecting and waiting for a connection have limits of their own. */
  readonly timeoutMs: number;
  /** Called in order for each stream. While a returned promise is pending, that stream is not read (back-pressure). */
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void | Promise<void>;
  /** Bytes of both streams together that are handed to `onOutput`; what follows is read, counted and thrown away. */
  readonly maxOutputBytes?: number | undefined;
  readonly signal: AbortSignal;
  /** Token of the effect; the command sees it as `FETTLE_EFFECT_TOKEN`. */
  readonly token?: string | undefined;
}

export interface ExecStatistics {
  readonly durationMs: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** `maxOutputBytes` was reached: the consumer did not see all output. */
  readonly truncated: boolean;
  /** The command ended but a process it left behind kept its output open; the session was closed without that process. */
  readonly leftBehind: boolean;
}

export type ExecResult = ({ readonly exitCode: number } | { readonly signal: string }) & ExecStatistics;

export interface PutFileRequest {
  /** Absolute path on the host. */
  readonly path: string;
  readonly content: Buffer;
  /** Octal text such as `0644`. */
  readonly mode: string;
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
  readonly become?: Become | undefined;
  /** Keeps what stood at the path under this token, once, before anything is changed: for `restoreFile`. */
  readonly keepAs?: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface RestoreFileRequest {
  readonly path: string;
  /** The token that `putFile` kept it under. */
  readonly keptAs: string;
  /** Digest of what was put there, in hexadecimal: anything else was changed since, and is not written over. */
  readonly put: string;
  readonly become?: Become | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** `nothing`: nothing is kept under that token. */
export type RestoreFileResult = 'restored' | 'removed' | 'nothing';

export interface PutFileResult {
  readonly changed: boolean;
  /** Of the content, in hexadecimal. */
  readonly sha256: string;
}

export interface ScannedHostKey {
  /** Key type such as `ssh-ed25519`. */
  readonly type: string;
  /** Line to pin: type and key in base64. */
  readonly key: string;
  /** As OpenSSH shows it: `SHA256:` and unpadded base64. */
  readonly fingerprintSha256: string;
}
