import ssh2, { type Client, type ClientChannel, type ConnectConfig } from 'ssh2';
import type { DemoInventory, DemoInventoryRow } from './estate.js';

/** What a command left behind, for the tests of the demo estate. */
export interface CommandResult {
  readonly exitCode: number | null;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Connects as the host's user with the estate's key and the pinned host key; `more` overrides. */
export function connect(row: DemoInventoryRow, inventory: DemoInventory, more: ConnectConfig = {}): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.once('ready', () => {
      client.setNoDelay(true);
      client.on('error', () => undefined);
      resolve(client);
    });
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed before it was ready')));
    client.connect({
      host: row.address,
      port: row.port,
      username: row.user,
      privateKey: inventory.clientPrivateKey,
      hostVerifier: (key: Buffer) => key.toString('base64') === row.hostKey.split(' ')[1],
      readyTimeout: 15_000,
      ...more,
    });
  });
}

export interface OpenCommand {
  readonly channel: ClientChannel;
  /** The first piece of standard output. */
  readonly first: Promise<string>;
  readonly ended: Promise<CommandResult>;
}

/** Starts a command. Its end is listened for at once: a fast host sends the exit status with the answer to the request. */
export function open(
  client: Client,
  command: string,
  env?: Record<string, string>,
  encoding: BufferEncoding = 'utf8',
): Promise<OpenCommand> {
  return new Promise((resolve, reject) =>
    client.exec(command, env ? { env } : {}, (error, channel) => {
      if (error) {
        reject(error);
        return;
      }
      const first = new Promise<string>((said) =>
        channel.once('data', (chunk: Buffer) => said(chunk.toString('utf8').trim())),
      );
      resolve({ channel, first, ended: gather(channel, encoding) });
    }),
  );
}

/** Gathers a channel's output until it closes. */
function gather(channel: ClientChannel, encoding: BufferEncoding): Promise<CommandResult> {
  return new Promise((resolve) => {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let exitCode: number | null = null;
    let signal: string | undefined;
    channel.on('data', (chunk: Buffer) => stdout.push(chunk));
    channel.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    channel.on('exit', (code: number | null, name?: string) => {
      exitCode = code;
      signal = name;
    });
    channel.on('error', () => undefined);
    channel.on('close', () =>
      resolve({
        exitCode,
        signal,
        stdout: Buffer.concat(stdout).toString(encoding),
        stderr: Buffer.concat(stderr).toString(encoding),
      }),
    );
  });
}

/** Runs a command with all of its stdin; `stdin: null` leaves stdin open, as an interactive client does. */
export async function run(
  client: Client,
  command: string,
  stdin: string | Buffer | null = '',
  env?: Record<string, string>,
  encoding?: BufferEncoding,
): Promise<CommandResult> {
  const { channel, ended } = await open(client, command, env, encoding);
  if (stdin !== null) channel.end(stdin);
  return ended;
}
