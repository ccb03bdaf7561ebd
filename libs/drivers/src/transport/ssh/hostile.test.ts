import { afterEach, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import ssh2, { type Connection, type Session } from 'ssh2';
import { FettleError } from '@fettle/contracts';
import { SshPool } from './ssh-pool.js';
import type { ExecRequest, SshCredential, SshEndpoint } from './types.js';

const credential: SshCredential = { kind: 'password', password: 'unused' };
const pinned = `ssh-ed25519 ${Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from('ssh-ed25519'), Buffer.alloc(36)]).toString('base64')}`;
const request: ExecRequest = {
  argv: ['true'],
  timeoutMs: 5_000,
  signal: new AbortController().signal,
  onOutput: () => undefined,
};
/** As nologin(8) says it. */
const NO_LOGIN = 'This account is currently not available.';
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function newPool(connectTimeoutMs = 700): SshPool {
  const pool = new SshPool({ connectTimeoutMs, keepaliveIntervalMs: 100, killGraceMs: 100 });
  cleanUps.push(() => pool.close());
  return pool;
}

/** A peer that does to each connection what a test says. */
async function peer(behave: (socket: Socket) => void): Promise<{ endpoint: SshEndpoint; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.resume();
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { endpoint: { host: '127.0.0.1', port, user: 'someone', hostKeys: [pinned] }, sockets };
}

async function failure(promise: Promise<unknown>): Promise<FettleError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FettleError);
  return error as FettleError;
}

/** Writes for as long as the other side reads. */
function pour(socket: Socket, text: string): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(text));
    socket.once('drain', () => setImmediate(more));
  };
  more();
}

const behaviours: Record<string, (socket: Socket) => void> = {
  'never speaks': () => undefined,
  'speaks lines without end before its banner': (socket) => pour(socket, 'hello there\r\n'.repeat(100)),
  'speaks without end of line before its banner': (socket) => pour(socket, 'x'.repeat(10_000)),
  'trickles bytes': (socket) => {
    const timer = setInterval(() => socket.write('hello\r\n'), 50);
    socket.on('close', () => clearInterval(timer));
  },
  'has a garbage banner': (socket) => socket.write('SSH-9.9-\0\0\r\nabc\r\n'),
  'sends garbage after its banner': (socket) => pour(socket, `SSH-2.0-x\r\n${'\xff'.repeat(5_000)}`),
  'sends its banner and nothing more': (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'),
  'closes at once': (socket) => socket.end(),
  'resets at once': (socket) => socket.resetAndDestroy(),
  'speaks HTTP': (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
};

describe('a host that', () => {
  for (const [name, behave] of Object.entries(behaviours)) {
    it(`${name} is unreachable within the time for connecting, and leaves nothing open`, async () => {
      const { endpoint, sockets } = await peer(behave);
      // Short: each of these waits it out.
      const pool = newPool(300);
      const errors = await Promise.all([1, 2, 3].map(() => failure(pool.exec(endpoint, credential, request))));
      for (const error of errors) {
        expect(error).toMatchObject({ code: 'host-unreachable', detail: { mayHaveStarted: false } });
      }
      const scan = await failure(pool.scanHostKeys(endpoint.host, endpoint.port, { timeoutMs: 200 }));
      expect(scan.code).toBe('host-unreachable');
      expect(pool.connections).toBe(0);
      for (let tries = 0; sockets.size > 0 && tries < 100; tries += 1)
        await new Promise((resolve) => setTimeout(resolve, 10));
      expect(sockets.size).toBe(0);
    });
  }

  it('refuses connections or has no address is unreachable', async () => {
    const pool = newPool();
    const { endpoint } = await peer(() => undefined);
    const refused = await failure(pool.exec({ ...endpoint, port: 1 }, credential, request));
    expect(refused).toMatchObject({ code: 'host-unreachable', detail: { reason: 'ECONNREFUSED' } });
    const unknown = await failure(pool.exec({ ...endpoint, host: 'no-such-host.invalid' }, credential, request));
    expect(unknown).toMatchObject({
      code: 'host-unreachable',
      detail: { reason: expect.stringMatching(/ENOTFOUND|EAI_AGAIN|timeout/) },
    });
  });
});

/** An SSH server that lets everybody in and does to each session what a test says. */
async function sshServer(
  behave: (accept: () => Session, connection: Connection, reject: () => void) => void,
): Promise<SshEndpoint> {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error) throw key;
  const connections = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [privateKey] }, (connection) => {
    connections.add(connection);
    connection.on('error', () => undefined);
    connection.on('authentication', (context) => context.accept());
    connection.on('ready', () => {
      connection.on('session', (accept, reject) => behave(accept, connection, () => reject()));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  cleanUps.push(async () => {
    for (const connection of connections) connection.end();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  const line = `ssh-rsa ${key.getPublicSSH().toString('base64')}`;
  return { host: '127.0.0.1', port, user: 'someone', hostKeys: [line] };
}

describe('whether a command may have started', () => {
  it('is denied where the connection went away before a session was open', async () => {
    let connections = 0;
    const endpoint = await sshServer((_accept, connection) => {
      connections += 1;
      connection.end();
    });
    const error = await failure(newPool().exec(endpoint, credential, request));
    expect(error).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: false } });
    // What certainly was not sent is sent again, once, over a new connection.
    expect(connections).toBe(2);
  });

  it('is denied where the host opens no session', async () => {
    const endpoint = await sshServer((_accept, _connection, reject) => reject());
    const error = await failure(newPool().exec(endpoint, credential, request));
    expect(error).toMatchObject({ code: 'session-refused', detail: { mayHaveStarted: false } });
  });

  it('is left open where it was sent and no answer came', async () => {
    const endpoint = await sshServer((accept, connection) => {
      accept().on('exec', () => connection.end());
    });
    const error = await failure(newPool().exec(endpoint, credential, request));
    expect(error).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: true } });
  });

  it('is left open where the host takes it and says nothing more', async () => {
    const endpoint = await sshServer((accept) => {
      accept().on('exec', () => undefined);
    });
    const error = await failure(newPool().exec(endpoint, credential, { ...request, timeoutMs: 300 }));
    expect(error).toMatchObject({ code: 'command-timeout', detail: { mayHaveStarted: true, confirmed: false } });
  });

  it('is asked for once its time is over, of which opening the session took a part', async () => {
    const endpoint = await sshServer((accept) => {
      setTimeout(() => accept().on('exec', (take) => void take()), 1_500);
    });
    const beganAtMs = performance.now();
    const error = await failure(newPool().exec(endpoint, credential, { ...request, timeoutMs: 2_000 }));
    expect(error).toMatchObject({ code: 'command-timeout', detail: { mayHaveStarted: true } });
    // Opening, the whole time again, and the second in which a command may still announce itself would be 4500 ms.
    expect(performance.now() - beganAtMs).toBeLessThan(4_400);
  });

  it('is denied where its time is over before it is sent', async () => {
    const endpoint = await sshServer((accept) => void accept());
    const error = await failure(newPool().exec(endpoint, credential, { ...request, timeoutMs: 0 }));
    expect(error).toMatchObject({ code: 'command-timeout', detail: { mayHaveStarted: false } });
  });

  it('is denied where the host refuses it', async () => {
    const endpoint = await sshServer((accept) => {
      accept().on('exec', (_accept, reject) => reject());
    });
    const error = await failure(newPool().exec(endpoint, credential, request));
    expect(error).toMatchObject({ code: 'session-refused', detail: { mayHaveStarted: false } });
  });

  interface MuteHost {
    readonly exitCode: number;
    readonly stdout?: string;
    /** Its shell announced itself; what it became did not. */
    readonly become?: true;
  }
  const muteHosts: [string, string, MuteHost, string, boolean][] = [
    ['left open', 'succeeds in silence', { exitCode: 0 }, 'remote-shell-unusable', true],
    [
      'left open',
      'answers on standard output alone',
      { exitCode: 1, stdout: 'changed\n' },
      'remote-shell-unusable',
      true,
    ],
    ['denied', 'fails in silence', { exitCode: 1 }, 'remote-shell-unusable', false],
    ['denied', 'lets nobody in', { exitCode: 1, stdout: `${NO_LOGIN}\n` }, 'remote-shell-unusable', false],
    ['left open', 'succeeds behind sudo', { exitCode: 0, become: true }, 'become-failed', true],
    ['denied', 'stops at sudo', { exitCode: 1, become: true }, 'become-failed', false],
  ];
  it.each(muteHosts)('is %s where what never announced itself %s', async (_is, _does, host, code, mayHaveStarted) => {
    const endpoint = await sshServer((accept) => {
      accept().on('exec', (take, _reject, { command }) => {
        const channel = take();
        const nonce = /fettle-[0-9a-f-]{36}/.exec(command)?.[0] ?? '';
        if (host.become) channel.stderr.write(`\n${nonce}-login 7\n`);
        if (host.stdout !== undefined) channel.write(host.stdout);
        channel.exit(host.exitCode);
        channel.end();
      });
    });
    const error = await failure(newPool().exec(endpoint, credential, { ...request, become: host.become && {} }));
    expect(error).toMatchObject({ code, detail: { mayHaveStarted } });
  });

  it('is left open where its output, which came with the consent, could not be taken', async () => {
    const endpoint = await sshServer((accept) => {
      accept().on('exec', (take) => void take().write('x'));
    });
    const onOutput = (): never => {
      throw new Error('the disk is full');
    };
    const error = await failure(newPool().exec(endpoint, credential, { ...request, onOutput }));
    expect(error).toMatchObject({ code: 'output-sink-failed', detail: { mayHaveStarted: true } });
    expect(error.message).toContain('the disk is full');
  });

  it('is left open where the session ends without an exit status', async () => {
    const endpoint = await sshServer((accept) => {
      accept().on('exec', (take) => take().end('half an answer'));
    });
    const error = await failure(newPool().exec(endpoint, credential, request));
    expect(error).toMatchObject({ code: 'connection-lost', detail: { mayHaveStarted: true } });
  });
});
