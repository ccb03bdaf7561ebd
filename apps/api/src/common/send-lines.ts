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

/**
 * Streams values as NDJSON. The headers go out once the first value is there, so that an error before it is still a problem
 * document; one after it cuts the connection.
 */
export async function sendLines(response: FettleResponse, lines: AsyncIterable<unknown>): Promise<void> {
  for await (const line of lines) {
    if (!response.headersSent) {
      response.statusCode = 200;
      response.setHeader('content-type', 'application/x-ndjson; charset=utf-8');
    }
    if (!(await writeWithDrain(response, `${JSON.stringify(line)}\n`))) return;
  }
  response.end();
}
