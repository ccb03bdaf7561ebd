import { Buffer } from 'node:buffer';
import { createHash, createHmac } from 'node:crypto';
import { FettleError } from '@fettle/contracts';
import { httpRequest, shownUrl } from '@fettle/drivers';
import { notifyWebhook } from '../contracts.js';
import { controlAction } from '../implementation.js';

const MAX_PAYLOAD_BYTES = 262_144;
/** What the receiver says is not kept. */
const MAX_BODY_BYTES = 4096;
/** "Between 24 bytes (192 bits) and 64 bytes (512 bits)". */
const secretBytes = { min: 24, max: 64 };

export const sendWebhook = controlAction(notifyWebhook, async (input, context, { calls }) => {
  const { method, url } = calls[0]!;
  const keys = signingKeys(input.secret, await context.secret(input.secret));
  const timestamp = input.timestamp ?? new Date().toISOString();
  const payload = JSON.stringify({ type: input.type, timestamp, data: input.data });
  if (Buffer.byteLength(payload) > MAX_PAYLOAD_BYTES) {
    throw refused('payload-too-large', `The payload is larger than ${MAX_PAYLOAD_BYTES} bytes.`, 'Send less.');
  }
  const id = webhookId(context.stepToken);
  const sentAt = Math.floor(Date.now() / 1000);
  const response = await httpRequest({
    method,
    url,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'fettle',
      'webhook-id': id,
      'webhook-timestamp': String(sentAt),
      'webhook-signature': keys.map((key) => webhookSignature(key, id, sentAt, payload)).join(' '),
    },
    body: payload,
    timeoutMs: context.timeoutMs,
    signal: context.signal,
    maxBodyBytes: MAX_BODY_BYTES,
    redirect: 'none',
  });
  const output = { status: response.status, id };
  if (response.status >= 200 && response.status < 300)
    return { state: 'succeeded', exitCode: null, error: null, output };
  const shown = shownUrl(new URL(url));
  // "410 Gone: the receiver wants no more of these."
  const error =
    response.status === 410
      ? { code: 'webhook-gone', message: `${shown} wants no more webhooks (status 410).` }
      : { code: 'http-status', message: `POST ${shown} answered with status ${response.status}.` };
  return { state: 'failed', exitCode: null, error, output };
});

/** The same for every repeat, so that the receiver knows it again; tells nothing of the token that stands on hosts. */
export function webhookId(token: string): string {
  return `msg_${createHash('sha256').update(`webhook-id\n${token}`).digest('base64url').slice(0, 27)}`;
}

/** `v1,` and the base64 of HMAC-SHA256 over id, timestamp (seconds) and payload, apart by full stops. */
export function webhookSignature(key: Buffer, id: string, timestamp: number, payload: string): string {
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${payload}`).digest('base64')}`;
}

/** Several secrets while one takes the place of another: the receiver accepts any of the signatures. */
function signingKeys(name: string, value: string): readonly Buffer[] {
  const secrets = value.trim().split(/\s+/).slice(0, 5);
  return secrets.map((secret) => {
    const encoded = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : '';
    const key = Buffer.from(encoded, 'base64');
    const isWhole = key.toString('base64').replace(/=+$/, '') === encoded.replace(/=+$/, '');
    if (isWhole && key.length >= secretBytes.min && key.length <= secretBytes.max) return key;
    throw refused(
      'invalid-credential',
      `The credential "${name}" is no signing secret: it must be "whsec_" and the base64 of ${secretBytes.min} to ${secretBytes.max} bytes.`,
      `Make one with: printf 'whsec_%s' "$(openssl rand -base64 32)"; then store it with: fettle credential set ${name} --kind token`,
    );
  });
}

function refused(code: string, message: string, remedy: string): FettleError {
  return new FettleError({ code, message, remedy, detail: { mayHaveStarted: false } });
}
