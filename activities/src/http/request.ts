import { Buffer } from 'node:buffer';
import { httpRequest as send, shownUrl } from '@fettle/drivers';
import { httpRequest } from '../contracts.js';
import { controlAction } from '../implementation.js';

/** What a control step may keep is 4 KiB in all; half of it goes to the body. */
const MAX_KEPT_BODY_CHARACTERS = 2048;
const MAX_BODY_BYTES = 1_048_576;

export const requestHttp = controlAction(httpRequest, async (input, context, { calls }) => {
  const { method, url } = calls[0]!;
  const headers: Record<string, string> = { ...input.headers };
  if (input.bearer !== undefined) headers['authorization'] = `Bearer ${await context.secret(input.bearer)}`;
  const isText = typeof input.body === 'string';
  if (
    input.body !== undefined &&
    !isText &&
    !Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')
  ) {
    headers['content-type'] = 'application/json';
  }
  const response = await send({
    method,
    url,
    headers,
    body: input.body === undefined ? undefined : isText ? (input.body as string) : JSON.stringify(input.body),
    timeoutMs: context.timeoutMs,
    signal: context.signal,
    maxBodyBytes: MAX_BODY_BYTES,
  });
  const redactor = context.redactor();
  const masked = redactor.write(response.body);
  // Of a body that was cut, what the redactor holds back may be the first half of a secret.
  const body = response.truncated ? masked : Buffer.concat([masked, redactor.flush()]);
  const text = new TextDecoder().decode(body).replaceAll('\0', '\uFFFD');
  const output = {
    status: response.status,
    body: text.slice(0, MAX_KEPT_BODY_CHARACTERS),
    truncated: response.truncated || text.length > MAX_KEPT_BODY_CHARACTERS,
  };
  const expected = input.successStatus
    ? input.successStatus.includes(response.status)
    : response.status >= 200 && response.status < 300;
  if (expected) return { state: 'succeeded', exitCode: null, error: null, output };
  const message = `${method} ${shownUrl(new URL(url))} answered with status ${response.status}.`;
  return { state: 'failed', exitCode: null, error: { code: 'http-status', message }, output };
});
