import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Hook {
  readonly path: string;
  readonly id: string;
  readonly timestamp: string;
  readonly signatures: readonly string[];
  readonly text: string;
  readonly body: { readonly type: string; readonly timestamp: string; readonly data: Record<string, unknown> };
}

/** Keeps what it is sent; the path says how it answers. */
export class Receiver {
  readonly hooks: Hook[] = [];
  readonly #server: Server;
  /** Paths that are refused so many more times. */
  readonly refusals = new Map<string, number>();

  private constructor() {
    this.#server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        const header = (name: string): string => String(request.headers[name] ?? '');
        const path = request.url ?? '';
        this.hooks.push({
          path,
          id: header('webhook-id'),
          timestamp: header('webhook-timestamp'),
          signatures: header('webhook-signature').split(' '),
          text,
          body: JSON.parse(text === '' ? '{}' : text) as Hook['body'],
        });
        const left = this.refusals.get(path) ?? 0;
        this.refusals.set(path, left - 1);
        if (path === '/silent') return;
        response.statusCode = path === '/gone' ? 410 : left > 0 ? 503 : 204;
        response.end();
      });
    });
  }

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  at(path: string): Hook[] {
    return this.hooks.filter((hook) => hook.path === path);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** As the specification has a receiver verify (Standard Webhooks 1.0, "Verifying webhook authenticity"). */
export function isAuthentic(hook: Hook, secret: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', key).update(`${hook.id}.${hook.timestamp}.${hook.text}`).digest();
  const isRecent = Math.abs(Date.now() / 1000 - Number(hook.timestamp)) < 300;
  return (
    isRecent &&
    hook.signatures.some((signature) => {
      const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
      return signature.startsWith('v1,') && given.length === expected.length && timingSafeEqual(given, expected);
    })
  );
}
