import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createSecureContext, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came, with CRLF, without the dot at its end and with stuffed dots undone. */
  readonly message: string;
  readonly user: string | null;
  readonly isEncrypted: boolean;
}

export interface SmtpServerOptions {
  readonly login?: { readonly user: string; readonly password: string };
  /** Offer no STARTTLS, as somebody in between would make it look. */
  readonly hidesStartTls?: boolean;
  /** TLS from the first byte. */
  readonly implicitTls?: boolean;
  readonly authMethods?: string;
}

/** A mail server that keeps what it gets: enough of RFC 5321, 3207 and 4954 to see what a client does. */
export class SmtpServer {
  readonly mails: ReceivedMail[] = [];
  /** Every line that a client said, in order. */
  readonly lines: string[] = [];
  /** Called for each command; what it returns is the answer instead of the usual one; null closes the connection. */
  intercept: (line: string) => string | null | undefined = () => undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly options: SmtpServerOptions,
    readonly certificate: string,
    private readonly key: string,
  ) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      if (options.implicitTls === true) this.#converse(this.#encrypted(socket), true);
      else this.#converse(socket, false);
    });
  }

  /** With a certificate of its own for `localhost`. */
  static async start(options: SmtpServerOptions = {}): Promise<SmtpServer> {
    const directory = await mkdtemp('/tmp/fettle-smtp-');
    const [key, certificate] = [join(directory, 'key'), join(directory, 'certificate')];
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate],
    ]);
    const server = new SmtpServer(options, await readFile(certificate, 'utf8'), await readFile(key, 'utf8'));
    await rm(directory, { recursive: true, force: true });
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #encrypted(socket: Socket): TLSSocket {
    const secureContext = createSecureContext({ cert: this.certificate, key: this.key });
    const secure = new TLSSocket(socket, { isServer: true, secureContext });
    secure.on('error', () => undefined);
    return secure;
  }

  /** Its name, and its extensions. */
  #hello(isEncrypted: boolean): readonly string[] {
    const { login, authMethods = 'PLAIN LOGIN', hidesStartTls } = this.options;
    return [
      'localhost',
      ...(isEncrypted || hidesStartTls === true ? [] : ['STARTTLS']),
      ...(login && isEncrypted ? [`AUTH ${authMethods}`] : []),
      'SIZE 1000000',
    ];
  }

  #converse(socket: Socket, isEncrypted: boolean, greets = true): void {
    let text = '';
    let user: string | null = null;
    let login: string[] | null = null;
    let from = '';
    let to: string[] = [];
    let isData = false;
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    const logIn = (name: string, password: string): void => {
      const { login: wanted } = this.options;
      if (wanted?.user !== name || wanted.password !== password) return say('535 5.7.8 no');
      user = name;
      say('235 2.7.0 welcome');
    };
    const decode = (encoded: string): string => Buffer.from(encoded, 'base64').toString('utf8');
    const take = (line: string): void => {
      if (login) {
        login.push(decode(line));
        const [name = '', password] = login;
        if (password === undefined) return say('334 UGFzc3dvcmQ6');
        login = null;
        return logIn(name, password);
      }
      const answer = this.intercept(line);
      if (answer === null) return void socket.destroy();
      if (answer !== undefined) return say(answer);
      const [verb = ''] = line.toUpperCase().split(' ');
      if (verb === 'EHLO') {
        const lines = this.#hello(isEncrypted);
        return lines.forEach((line, at) => say(`250${at === lines.length - 1 ? ' ' : '-'}${line}`));
      }
      if (verb === 'STARTTLS') {
        socket.removeListener('data', onData);
        say('220 go ahead');
        return this.#converse(this.#encrypted(socket), true, false);
      }
      if (/^AUTH PLAIN /i.test(line)) {
        const [, name = '', password = ''] = decode(line.slice('AUTH PLAIN '.length)).split('\0');
        return logIn(name, password);
      }
      if (/^AUTH LOGIN$/i.test(line)) {
        login = [];
        return say('334 VXNlcm5hbWU6');
      }
      if (this.options.login && user === null) return say('530 5.7.0 log in first');
      if (verb === 'MAIL') from = /<(.*)>/.exec(line)?.[1] ?? '';
      if (verb === 'RCPT') to.push(/<(.*)>/.exec(line)?.[1] ?? '');
      if (verb === 'DATA') {
        isData = true;
        return say('354 go on');
      }
      if (verb === 'QUIT') return void socket.end('221 bye\r\n');
      say('250 fine');
    };
    const takeMessage = (): void => {
      const end = text.indexOf('\r\n.\r\n');
      if (end < 0) return;
      const message = text.slice(0, end + 2).replace(/^\.\./gm, '.');
      [text, isData] = [text.slice(end + 5), false];
      const answer = this.intercept('.');
      if (answer === null) return void socket.destroy();
      if (answer === undefined) this.mails.push({ from, to, message, user, isEncrypted });
      to = [];
      say(answer ?? '250 2.0.0 queued as 4711');
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      for (;;) {
        if (isData) takeMessage();
        const end = isData ? -1 : text.indexOf('\r\n');
        if (end < 0) return;
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        this.lines.push(line);
        take(line);
      }
    };
    socket.on('data', onData);
    if (greets) say('220 localhost ESMTP');
  }
}
