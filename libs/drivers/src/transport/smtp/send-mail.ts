import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls } from 'node:tls';
import { FettleError } from '@fettle/contracts';
import { renderMail, type Mail } from './mail-message.js';
import { SmtpReader, type Reply } from './smtp-reader.js';

export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** `starttls`: encrypted before anything else is said, or not at all; `tls` from the first byte; `none`: in clear. */
  readonly security: 'starttls' | 'tls' | 'none';
  /** PEM of the authority that the server's certificate comes from, where the system does not know it. */
  readonly certificateAuthority?: string | undefined;
}

export interface MailRequest {
  readonly server: MailServer;
  readonly login?: { readonly user: string; readonly password: string } | undefined;
  readonly mail: Mail;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

type SmtpErrorCode = 'smtp-unreachable' | 'smtp-timeout' | 'smtp-refused' | 'cancelled' | 'invalid-argument';

/**
 * Hands a mail to a server (RFC 5321, 3207, 4954): to all its recipients, or to none. Resolves with the server's last word.
 * @throws FettleError with a code of `SmtpErrorCode`; `detail.mayHaveStarted` is false unless the mail itself was under way
 */
export async function sendMail(request: MailRequest): Promise<{ readonly accepted: string }> {
  if (request.login !== undefined && request.server.security === 'none') {
    throw smtpError(request, 'invalid-argument', 'a password is not sent over a connection in clear', false);
  }
  if (request.signal.aborted) throw smtpError(request, 'cancelled', 'cancelled before the mail was sent', false);
  return new SmtpExchange(request).run();
}

class SmtpExchange {
  readonly #request: MailRequest;
  #socket: Socket | null = null;
  #reader = new SmtpReader();
  /** The server has all of the mail, and may pass it on whatever we hear. */
  #isHandedOver = false;
  #why: FettleError | null = null;

  constructor(request: MailRequest) {
    this.#request = request;
  }

  async run(): Promise<{ readonly accepted: string }> {
    const { timeoutMs, signal } = this.#request;
    const timer = setTimeout(
      () => this.#stop('smtp-timeout', `the mail was not taken within ${timeoutMs} ms`),
      timeoutMs,
    );
    const cancel = (): void => this.#stop('cancelled', 'sending the mail was cancelled');
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await this.#exchange();
    } catch (error) {
      throw this.#why ?? this.#failureOf(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      this.#socket?.destroy();
    }
  }

  async #exchange(): Promise<{ readonly accepted: string }> {
    const { server, login, mail } = this.#request;
    await this.#connect();
    await this.#expect(220, 'its greeting');
    let extensions = await this.#hello();
    if (server.security === 'starttls') {
      if (!extensions.has('STARTTLS')) throw this.#refusal('the server offers no STARTTLS, and nothing goes in clear');
      await this.#say('STARTTLS', 220);
      await this.#encrypt();
      extensions = await this.#hello();
    }
    if (login !== undefined) await this.#authenticate(login, extensions.get('AUTH') ?? '');
    await this.#say(`MAIL FROM:<${mail.from}>`, 250);
    for (const recipient of mail.to) await this.#say(`RCPT TO:<${recipient}>`, 250, 251);
    await this.#say('DATA', 354);
    // The body is base64 and no header begins with a dot, so that no line is to be stuffed.
    const text = renderMail(mail);
    this.#isHandedOver = true;
    this.#write(`${text}.\r\n`);
    const reply = await this.#reader.next();
    if (reply.code !== 250) {
      this.#isHandedOver = false;
      throw this.#refusal(`the server did not take the mail: ${reply.code} ${reply.lines.join(' ')}`);
    }
    // Whatever becomes of the goodbye.
    this.#socket?.end('QUIT\r\n');
    return { accepted: `${reply.code} ${reply.lines.join(' ')}`.slice(0, 500) };
  }

  async #connect(): Promise<void> {
    const { server } = this.#request;
    const { host, port } = server;
    const socket = server.security === 'tls' ? connectTls(this.#tlsOptions()) : connectSocket({ host, port });
    this.#use(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once(server.security === 'tls' ? 'secureConnect' : 'connect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('the connection was closed')));
    });
  }

  /** What the server said in clear after its consent was put there by somebody else (CVE-2011-0411). */
  async #encrypt(): Promise<void> {
    const plain = this.#socket!;
    plain.removeAllListeners('data');
    if (!this.#reader.isEmpty) throw this.#refusal('the server spoke in clear after STARTTLS');
    // The host is what the certificate is compared with; without it Node takes "localhost".
    const socket = connectTls({ ...this.#tlsOptions(), socket: plain });
    this.#reader = new SmtpReader();
    this.#use(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      plain.once('close', () => reject(new Error('the connection was closed')));
    });
  }

  #tlsOptions(): { host: string; port: number; servername?: string; ca?: string } {
    const { host, port, certificateAuthority } = this.#request.server;
    return {
      host,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }),
    };
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    const reader = this.#reader;
    socket.on('data', (chunk: Buffer) => reader.feed(chunk));
    socket.on('error', (error) => reader.fail(error));
    socket.on('close', () => reader.fail(new Error('the server closed the connection')));
  }

  /** Keywords of the server's extensions with their parameters. */
  async #hello(): Promise<ReadonlyMap<string, string>> {
    const name = /^[A-Za-z0-9.-]{1,200}$/.test(hostname()) ? hostname() : 'localhost';
    const { lines } = await this.#say(`EHLO ${name}`, 250);
    return new Map(
      lines.slice(1).map((line) => {
        const [keyword = '', ...parameters] = line.trim().split(/[ =]+/);
        return [keyword.toUpperCase(), parameters.join(' ').toUpperCase()];
      }),
    );
  }

  async #authenticate({ user, password }: { user: string; password: string }, offered: string): Promise<void> {
    const encode = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
    const methods = offered.split(' ');
    if (methods.includes('PLAIN')) {
      await this.#say(`AUTH PLAIN ${encode(`\0${user}\0${password}`)}`, 235);
    } else if (methods.includes('LOGIN')) {
      await this.#say('AUTH LOGIN', 334);
      await this.#say(encode(user), 334);
      await this.#say(encode(password), 235);
    } else {
      throw this.#refusal('the server takes passwords neither by PLAIN nor by LOGIN');
    }
  }

  async #say(line: string, ...wanted: number[]): Promise<Reply> {
    this.#write(`${line}\r\n`);
    // Never what was said to log in.
    const what = /^(EHLO|STARTTLS|AUTH|DATA)\b/.exec(line)?.[1] ?? (/^(MAIL|RCPT) /.test(line) ? line : 'the password');
    return this.#expectOne(wanted, what);
  }

  #expect(code: number, what: string): Promise<Reply> {
    return this.#expectOne([code], what);
  }

  async #expectOne(wanted: readonly number[], what: string): Promise<Reply> {
    const reply = await this.#reader.next();
    if (wanted.includes(reply.code)) return reply;
    throw this.#refusal(`the server answered ${what} with ${reply.code} ${reply.lines.join(' ')}`.slice(0, 500));
  }

  #write(text: string): void {
    this.#socket!.write(text);
  }

  #refusal(what: string): FettleError {
    return smtpError(this.#request, 'smtp-refused', what, false);
  }

  #stop(code: SmtpErrorCode, what: string): void {
    this.#why ??= smtpError(this.#request, code, what, this.#isHandedOver);
    this.#reader.fail(this.#why);
    this.#socket?.destroy();
  }

  #failureOf(error: unknown): FettleError {
    if (error instanceof FettleError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return smtpError(this.#request, 'smtp-unreachable', reason, this.#isHandedOver, error);
  }
}

const remedies: Readonly<Record<SmtpErrorCode, string>> = {
  'smtp-unreachable': 'Check host, port, "security" and the certificate of the mail server.',
  'smtp-timeout': 'Raise the timeout, or look why the mail server is slow.',
  'smtp-refused': 'Look at what the mail server says: the sender, a recipient, the login or its policy.',
  cancelled: 'Send it again if it is still wanted.',
  'invalid-argument': 'Use "security: starttls" or "tls", or leave the login out.',
};

function smtpError(
  { server }: MailRequest,
  code: SmtpErrorCode,
  what: string,
  mayHaveStarted: boolean,
  cause?: unknown,
): FettleError {
  const message = `mail server ${server.host}:${server.port}: ${what}`;
  return new FettleError({ code, message, remedy: remedies[code], detail: { mayHaveStarted }, cause });
}
