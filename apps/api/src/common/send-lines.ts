import type { FettleResponse } from './request.js';

/** How long a reader of a download may take no byte before it is cut. */
const stalledMs = 60_000;

/** True where the answer can no longer be written. */
export function isGone(response: FettleResponse): boolean {
  return response.destroyed || response.writableEnded;
}

/**
 * Writes and waits until the socket has taken what was written, so that a slow reader costs one buffer and no more.
 * @returns false where the reader is gone, or was cut because it took nothing for `patienceMs`.
 */
export async function writeWithDrain(response: FettleResponse, text: string, patienceMs = stalledMs): Promise<boolean> {
  if (isGone(response)) return false;
  if (response.write(text)) return true;
  const outcome = await drainOf(response, patienceMs);
  if (outcome === 'stalled') response.destroy();
  return outcome === 'drained' && !isGone(response);
}

function drainOf(response: FettleResponse, patienceMs: number): Promise<'drained' | 'closed' | 'stalled'> {
  return new Promise((resolve) => {
    const settle = (outcome: 'drained' | 'closed' | 'stalled'): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      response.off('close', onClose);
      resolve(outcome);
    };
    const onDrain = (): void => settle('drained');
    const onClose = (): void => settle('closed');
    const timer = setTimeout(() => settle('stalled'), patienceMs);
    response.once('drain', onDrain);
    response.once('close', onClose);
  });
}

/** Streams values as NDJSON. */
export async function sendLines(response: FettleResponse, lines: AsyncIterable<unknown>): Promise<void> {
  await sendText(response, 'application/x-ndjson; charset=utf-8', toLines(lines));
}

async function* toLines(values: AsyncIterable<unknown>): AsyncGenerator<string, void, undefined> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}

/**
 * Streams texts. The headers go out once the first text is there, so that an error before it is still a problem document; one
 * after it cuts the connection.
 */
export async function sendText(
  response: FettleResponse,
  contentType: string,
  texts: AsyncIterable<string>,
): Promise<void> {
  const begin = (): void => {
    response.statusCode = 200;
    response.setHeader('content-type', contentType);
  };
  for await (const text of texts) {
    if (!response.headersSent) begin();
    if (!(await writeWithDrain(response, text))) return;
  }
  if (!response.headersSent) begin();
  response.end();
}
