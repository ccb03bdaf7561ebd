import { createHash } from 'node:crypto';
import { FettleError } from '@fettle/contracts';
import { sendMail as send } from '@fettle/drivers';
import { mailPort, notifyMail } from '../contracts.js';
import { controlAction } from '../implementation.js';

export const sendMail = controlAction(notifyMail, async (input, context) => {
  const { host, security, certificateAuthority } = input.server;
  const messageId = mailMessageId(context.stepToken, input.from);
  const { accepted } = await send({
    server: { host, port: mailPort(input.server), security, certificateAuthority },
    login: await loginOf(input.server, (name) => context.secret(name, ['password'])),
    mail: {
      from: input.from,
      to: input.to,
      messageId,
      date: new Date(),
      subject: input.subject,
      text: input.text,
    },
    timeoutMs: context.timeoutMs,
    signal: context.signal,
  });
  return { state: 'succeeded', exitCode: null, error: null, output: { messageId, accepted } };
});

/** The same for every repeat, so that who gets it twice can tell. */
export function mailMessageId(token: string, from: string): string {
  const id = createHash('sha256').update(`message-id\n${token}`).digest('hex').slice(0, 40);
  return `${id}@${from.slice(from.lastIndexOf('@') + 1)}`;
}

async function loginOf(
  { user, credential }: { readonly user?: string | undefined; readonly credential?: string | undefined },
  secret: (name: string) => Promise<string>,
): Promise<{ user: string; password: string } | undefined> {
  if (user === undefined && credential === undefined) return undefined;
  if (user === undefined || credential === undefined) {
    throw new FettleError({
      code: 'invalid-input',
      message: 'A login at the mail server needs both "user" and "credential".',
      detail: { mayHaveStarted: false },
    });
  }
  return { user, password: (await secret(credential)).replace(/\r?\n$/, '') };
}
