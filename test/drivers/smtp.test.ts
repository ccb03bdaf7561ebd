import { afterEach, describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import { sendMail, type MailRequest } from '@fettle/drivers';
import { SmtpServer, type SmtpServerOptions } from '../support/smtp-server.js';

const login = { user: 'fettle', password: 'pa"ss wörd' };
const mail = {
  from: 'fettle@example.org',
  to: ['ops@example.org', 'night@example.org'],
  messageId: 'abc123@example.org',
  date: new Date('2026-11-22T08:00:00Z'),
  subject: 'patch-web fehlgeschlagen: 3 Rechner ließen sich nicht erreichen, und das ist eine lange Zeile — ✂',
  text: 'First\n.\n..dots\nöäü\n',
};
const servers: SmtpServer[] = [];

async function start(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const server = await SmtpServer.start(options);
  servers.push(server);
  return server;
}

function request(server: SmtpServer, changed: Partial<MailRequest> = {}): MailRequest {
  const { port, certificate: certificateAuthority } = server;
  return {
    server: { host: 'localhost', port, security: 'starttls', certificateAuthority },
    mail,
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    ...changed,
  };
}

async function failureOf(sent: Promise<unknown>): Promise<FettleError> {
  const error: unknown = await sent.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof FettleError) return error;
  throw new Error(`no FettleError: ${String(error)}`);
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

/** Header by header, as RFC 5322 unfolds them and RFC 2047 decodes them. */
function read(message: string): { headers: Map<string, string>; text: string } {
  const [head = '', body = ''] = message.split(/\r\n\r\n(.*)/s);
  const headers = head.replace(/\r\n(?=[ \t])/g, '').split('\r\n');
  const word = /=\?UTF-8\?B\?([^?]*)\?= ?/g;
  return {
    headers: new Map(
      headers.map((line) => {
        const [, name = '', value = ''] = /^([^:]+): (.*)$/s.exec(line) ?? [];
        return [name, value.replace(word, (_match, text: string) => Buffer.from(text, 'base64').toString('utf8'))];
      }),
    ),
    text: Buffer.from(body, 'base64').toString('utf8'),
  };
}

describe('sendMail', () => {
  it.each(['PLAIN LOGIN', 'LOGIN'])(
    'encrypts, logs in with %s and hands over a mail that reads as it was',
    async (methods) => {
      const server = await start({ login, authMethods: methods });
      expect(await sendMail(request(server, { login }))).toEqual({ accepted: '250 2.0.0 queued as 4711' });
      const [received] = server.mails;
      expect(received).toMatchObject({ from: mail.from, to: mail.to, user: 'fettle', isEncrypted: true });
      const { headers, text } = read(received!.message);
      expect(headers.get('Subject')).toBe(mail.subject);
      expect(headers.get('Message-ID')).toBe('<abc123@example.org>');
      expect(headers.get('To')).toBe('ops@example.org, night@example.org');
      expect(headers.get('Date')).toBe('Sun, 22 Nov 2026 08:00:00 +0000');
      expect(text).toBe(mail.text.replaceAll('\n', '\r\n'));
      expect(Math.max(...received!.message.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(78);
      expect(received!.message).toMatch(/^[\x20-\x7e\r\n]*$/);
    },
  );

  it('takes TLS from the first byte, and a connection in clear where that is asked for', async () => {
    const tls = await start({ implicitTls: true, login });
    const { port, certificate: certificateAuthority } = tls;
    await sendMail(request(tls, { login, server: { host: 'localhost', port, security: 'tls', certificateAuthority } }));
    expect(tls.mails).toMatchObject([{ user: 'fettle', isEncrypted: true }]);
    const clear = await start();
    await sendMail(request(clear, { server: { host: '127.0.0.1', port: clear.port, security: 'none' } }));
    expect(clear.mails).toMatchObject([{ user: null, isEncrypted: false }]);
  });

  it('says nothing in clear where STARTTLS is not offered, and no password ever', async () => {
    const server = await start({ hidesStartTls: true, login });
    const error = await failureOf(sendMail(request(server, { login })));
    expect(error).toMatchObject({ code: 'smtp-refused', detail: { mayHaveStarted: false } });
    expect(server.lines.map((line) => line.split(' ')[0])).toEqual(['EHLO']);
    const { port } = server;
    const inClear = request(server, { login, server: { host: 'localhost', port, security: 'none' } });
    expect(await failureOf(sendMail(inClear))).toMatchObject({ code: 'invalid-argument' });
    expect(server.lines).toHaveLength(1);
  });

  it('trusts no certificate that it cannot check', async () => {
    const server = await start();
    const { port } = server;
    for (const changed of [
      { host: 'localhost', port, security: 'starttls' as const },
      { host: '127.0.0.1', port, security: 'starttls' as const, certificateAuthority: server.certificate },
    ])
      expect(await failureOf(sendMail(request(server, { server: changed })))).toMatchObject({
        code: 'smtp-unreachable',
      });
    expect(server.mails).toEqual([]);
  });

  it('takes no answer that somebody put in before the encryption', async () => {
    const server = await start();
    server.intercept = (line) => (line === 'STARTTLS' ? '220 go ahead\r\n250-injected\r\n250 AUTH PLAIN' : undefined);
    expect(await failureOf(sendMail(request(server)))).toMatchObject({
      code: 'smtp-refused',
      message: expect.stringContaining('spoke in clear after STARTTLS') as unknown,
    });
  });

  it('sends to all or to none', async () => {
    const server = await start();
    server.intercept = (line) => (line.startsWith('RCPT TO:<night') ? '550 5.1.1 nobody of that name' : undefined);
    const error = await failureOf(sendMail(request(server)));
    expect(error.code).toBe('smtp-refused');
    expect(error.message).toMatch(/RCPT TO:<night@example.org> with 550 5.1.1 nobody/);
    expect(server.mails).toEqual([]);
  });

  it('does not repeat what was said to log in', async () => {
    const server = await start({ login });
    const wrong = { ...login, password: 'hunter22' };
    const error = await failureOf(sendMail(request(server, { login: wrong })));
    expect(error.message).toMatch(/answered AUTH with 535/);
    expect(JSON.stringify(error) + error.message).not.toMatch(/hunter22|aHVudGVyMj/);
  });

  it('says that the mail may have gone where the connection is lost after its last byte, and only there', async () => {
    const server = await start();
    server.intercept = (line) => (line === '.' ? null : undefined);
    expect(await failureOf(sendMail(request(server)))).toMatchObject({ detail: { mayHaveStarted: true } });
    server.intercept = (line) => (line === 'DATA' ? null : undefined);
    expect(await failureOf(sendMail(request(server)))).toMatchObject({ detail: { mayHaveStarted: false } });
    server.intercept = (line) => (line === '.' ? '452 4.3.1 no space' : undefined);
    expect(await failureOf(sendMail(request(server)))).toMatchObject({
      code: 'smtp-refused',
      detail: { mayHaveStarted: false },
    });
  });

  it('gives up after its time and when it is cancelled', async () => {
    const server = await start();
    server.intercept = (line) => (line.startsWith('MAIL') ? '250-' : undefined);
    expect(await failureOf(sendMail(request(server, { timeoutMs: 300 })))).toMatchObject({ code: 'smtp-timeout' });
    const signal = AbortSignal.timeout(300);
    expect(await failureOf(sendMail(request(server, { signal })))).toMatchObject({ code: 'cancelled' });
    expect(await failureOf(sendMail(request(server, { signal: AbortSignal.abort() })))).toMatchObject({
      code: 'cancelled',
    });
  });
});
