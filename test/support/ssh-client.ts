import { SshPool, type ExecRequest, type ExecResult, type SshCredential, type SshEndpoint } from '@fettle/drivers';
import { FettleError } from '@fettle/contracts';
import { startSshd, type Sshd, type SshdOptions } from './sshd.js';

type RunRequest = Partial<ExecRequest> & Pick<ExecRequest, 'argv'>;

export interface Ran {
  readonly result: ExecResult;
  readonly stdout: string;
  readonly stderr: string;
}

/** An endpoint of the n-th host of an sshd, with its keys pinned. */
export async function endpointOf(sshd: Sshd, host = 0, account = sshd.account): Promise<SshEndpoint> {
  return { host: sshd.address(host), port: sshd.port, user: account.user, hostKeys: await sshd.hostKeys() };
}

export function credentialOf(sshd: Sshd, account = sshd.account): SshCredential {
  return { kind: 'private-key', privateKey: account.privateKey };
}

/** A pool and one sshd to use it on, by its first account. */
export interface SshBench {
  readonly sshd: Sshd;
  readonly pool: SshPool;
  readonly endpoint: SshEndpoint;
  readonly credential: SshCredential;
  /** A command by that pool on that endpoint. */
  run(request: RunRequest): Promise<Ran>;
  stop(): Promise<void>;
}

export async function startSshBench(
  sshdOptions: SshdOptions = {},
  poolOptions: ConstructorParameters<typeof SshPool>[0] = {},
): Promise<SshBench> {
  const sshd = await startSshd(sshdOptions);
  const pool = new SshPool(poolOptions);
  const endpoint = await endpointOf(sshd);
  const credential = credentialOf(sshd);
  return {
    sshd,
    pool,
    endpoint,
    credential,
    run: (request) => run(pool, endpoint, credential, request),
    stop: async () => {
      await pool.close();
      await sshd.stop();
    },
  };
}

/** Runs a command and collects its output. */
export async function run(
  pool: SshPool,
  endpoint: SshEndpoint,
  credential: SshCredential,
  request: RunRequest,
): Promise<Ran> {
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const result = await pool.exec(endpoint, credential, {
    timeoutMs: 60_000,
    signal: new AbortController().signal,
    onOutput: (stream, chunk) => void output[stream].push(chunk),
    ...request,
  });
  return {
    result,
    stdout: Buffer.concat(output.stdout).toString(),
    stderr: Buffer.concat(output.stderr).toString(),
  };
}

/** The typed error that a promise must end with. */
export async function failureOf(promise: Promise<unknown>): Promise<FettleError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`expected a failure, got ${JSON.stringify(outcome.value)}`);
  if (outcome.error instanceof FettleError) return outcome.error;
  throw new Error('expected a FettleError', { cause: outcome.error });
}
