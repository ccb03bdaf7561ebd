import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net';
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel, type Session } from 'ssh2';
import type { Machine } from './machine.js';
import { DemoSession } from './session.js';

const maxConnections = 64;
const maxSessionsPerConnection = 64;
const maxAuthenticationTries = 6;
const loginGraceMs = 20_000;
const maxVariables = 64;
const maxVariableBytes = 32 * 1024;
const rebootDelayMs = 150;
const rebootDownMs = 1200;

export interface HostServerOptions {
  readonly machine: Machine;
  /** OpenSSH private key that the server presents. */
  readonly hostKey: string;
  /** `ssh-ed25519 AAAA...` of the only client key that may sign in. */
  readonly clientKey: string;
}

function parsePublicKey(line: string): ParsedKey {
  const parsed = ssh2.utils.parseKey(line);
  if (parsed instanceof Error) throw parsed;
  return parsed;
}

/** The SSH server of one demo host: public key only, one user, exec and shell, no sftp and no forwarding (RFC 4252-4254). */
export class HostServer {
  private readonly ssh: ssh2.Server;
  private readonly net: NetServer;
  private readonly sockets = new Set<Socket>();
  private readonly sessions = new Set<DemoSession>();
  private readonly clientKey: ParsedKey;
  private down = false;

  constructor(private readonly options: HostServerOptions) {
    this.clientKey = parsePublicKey(options.clientKey);
    const ident = options.machine.profile.os === 'rocky' ? 'OpenSSH_8.7' : 'OpenSSH_9.2p1';
    this.ssh = new ssh2.Server({ hostKeys: [options.hostKey], ident }, (client) => this.serve(client));
    this.ssh.on('error', () => undefined);
    this.net = createServer({ noDelay: true }, (socket) => this.accept(socket));
    this.net.maxConnections = maxConnections;
    options.machine.onReboot = () => this.reboot();
  }

  /** Listens on 127.0.0.1. Rejects with the system's error, e.g. `EADDRINUSE`. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.net.off('listening', succeed);
        reject(error);
      };
      const succeed = (): void => {
        this.net.off('error', fail);
        this.net.on('error', () => undefined);
        resolve((this.net.address() as AddressInfo).port);
      };
      this.net.once('error', fail);
      this.net.once('listening', succeed);
      this.net.listen(port, '127.0.0.1');
    });
  }

  /** Ends every session and connection, and stops listening. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.net.close(() => resolve()));
    this.dropAll();
    await closed;
  }

  private dropAll(): void {
    for (const session of this.sessions) session.signal('HUP');
    // Detached commands end with the host, too.
    for (const process of this.options.machine.processes.values()) process.signal('HUP');
    for (const socket of this.sockets) socket.destroy();
  }

  /** The host goes down after the answer to `reboot` is out, refuses for a moment and is back. */
  private reboot(): void {
    setTimeout(() => {
      this.down = true;
      this.dropAll();
      setTimeout(() => (this.down = false), rebootDownMs).unref();
    }, rebootDelayMs).unref();
  }

  private accept(socket: Socket): void {
    if (this.down) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    this.ssh.injectSocket(socket);
  }

  private serve(client: Connection): void {
    let tries = 0;
    const grace = setTimeout(() => client.end(), loginGraceMs);
    grace.unref();
    client.on('error', () => client.end());
    client.on('close', () => clearTimeout(grace));
    client.on('authentication', (context) => {
      if (this.mayEnter(context)) {
        context.accept();
        return;
      }
      tries += 1;
      context.reject(['publickey']);
      if (tries >= maxAuthenticationTries) client.end();
    });
    client.on('ready', () => {
      clearTimeout(grace);
      let open = 0;
      client.on('session', (accept, reject) => {
        if (open >= maxSessionsPerConnection) {
          reject();
          return;
        }
        open += 1;
        const session = accept();
        session.on('close', () => (open -= 1));
        this.serveSession(session);
      });
    });
  }

  private mayEnter(context: AuthContext): boolean {
    if (context.method !== 'publickey' || context.username !== this.options.machine.profile.user) return false;
    if (context.key.algo !== this.clientKey.type || !context.key.data.equals(this.clientKey.getPublicSSH()))
      return false;
    // Without a signature the client only asks whether the key would do.
    if (context.signature === undefined || context.blob === undefined) return true;
    return this.clientKey.verify(context.blob, context.signature, context.hashAlgo);
  }

  private serveSession(session: Session): void {
    const variables: Record<string, string> = {};
    let variableBytes = 0;
    let running: DemoSession | undefined;
    session.on(
      'env',
      (accept: (() => void) | undefined, reject: (() => void) | undefined, info: { key: string; val: string }) => {
        variableBytes += info.key.length + info.val.length;
        const isWanted =
          /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(info.key) && Object.keys(variables).length < maxVariables;
        if (!isWanted || variableBytes > maxVariableBytes) {
          reject?.();
          return;
        }
        variables[info.key] = info.val;
        accept?.();
      },
    );
    session.on('pty', (accept: (() => void) | undefined) => accept?.());
    session.on('window-change', (accept: (() => void) | undefined) => accept?.());
    session.on('signal', (accept: (() => void) | undefined, _reject: unknown, info: { name: string }) => {
      running?.signal(info.name.replace(/^SIG/, ''));
      accept?.();
    });
    const start = (channel: ServerChannel, command: string | undefined): void => {
      const demoSession = new DemoSession(this.options.machine, channel, variables);
      running = demoSession;
      this.sessions.add(demoSession);
      void demoSession.run(command).finally(() => this.sessions.delete(demoSession));
    };
    session.on('exec', (accept, reject, info) => (running ? reject() : start(accept(), info.command)));
    session.on('shell', (accept, reject) => (running ? reject() : start(accept(), undefined)));
    // Without a listener for `sftp` and `subsystem` ssh2 refuses them.
  }
}
