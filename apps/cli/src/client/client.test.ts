import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { InterruptedError, UnreachableError } from '../session/errors.js';
import { capture } from '../session/testing/capture-host.js';
import { ApiClient } from './api-client.js';
import { followRun, type FollowOptions, type RunEvent } from './run-events.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server | undefined;

/** A server that answers as the test says. */
async function serve(handler: Handler): Promise<string> {
  server = createServer(handler);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(null)));
  server = undefined;
});

function problem(status: number, more: Record<string, unknown> = {}): Handler {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/problem+json' });
    const detail = 'It is not so.';
    response.end(
      JSON.stringify({ type: 'about:blank', title: 't', status, code: 'some-code', detail, requestId: 'r-1', ...more }),
    );
  };
}

function json(value: unknown): Handler {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
}

function clientOf(url: string, signal = new AbortController().signal): ApiClient {
  return new ApiClient({ url, token: 'fettle_x', origin: 'test' }, signal);
}

describe('answers of the API', () => {
  it.each([
    [400, 1],
    [401, 4],
    [403, 5],
    [404, 3],
    [409, 1],
    [422, 1],
    [429, 1],
    [500, 1],
  ])('makes exit codes of HTTP %d: %d', async (status, exitCode) => {
    const url = await serve(problem(status, { remedy: 'Do this.' }));
    const result = await capture(['whoami'], { env: { FETTLE_URL: url, FETTLE_TOKEN: 'fettle_x' } });
    expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode, stdout: '' });
    // The API speaks of HTTP headers to whoever is not signed in; here the token is named by how it is given.
    const remedy =
      status === 401
        ? /what to do: Set FETTLE_TOKEN to a token that is valid at http.* its owner only\.\n$/
        : /what to do: Do this\.\n/;
    expect(result.stderr).toMatch(/^error: It is not so\.\n {2}what to do: /);
    expect(result.stderr).toMatch(remedy);
  });

  it('shows findings with their places, harmless for the terminal', async () => {
    const findings = [
      {
        message: 'no such \u001b[2Jfield',
        position: { file: 'a.yaml', line: 3, column: 7 },
        text: 'stepz:',
        suggestion: 'steps',
      },
    ];
    const url = await serve(problem(422, { findings }));
    const { stderr } = await capture(['whoami'], { env: { FETTLE_URL: url, FETTLE_TOKEN: 'x' } });
    expect(stderr).toContain('a.yaml:3:7: error: no such \\x1b[2Jfield\n    stepz:\n    did you mean steps?\n');
  });

  it.each([
    ['another shape', json({ hello: 1 }), 1, /in a shape that this version does not know/],
    ['no problem document', problem(404, { code: undefined }), 3, /answered with HTTP 404/],
  ])('says so when the answer is none of a Fettle API: %s', async (_name, handler, exitCode, message) => {
    const url = await serve(handler);
    const result = await capture(['whoami'], { env: { FETTLE_URL: url, FETTLE_TOKEN: 'x' } });
    expect(result.exitCode).toBe(exitCode);
    expect(result.stderr).toMatch(message);
  });

  it('goes through all pages of a list, and no further than was asked', async () => {
    const asked: string[] = [];
    const url = await serve((request, response) => {
      const query = new URL(request.url ?? '', 'http://x').searchParams;
      asked.push(`${query.get('after') ?? '-'}/${query.get('limit') ?? ''}`);
      const from = Number(query.get('after') ?? 0);
      const items = Array.from({ length: Math.min(3, Number(query.get('limit'))) }, (_, index) => from + index);
      json({ items, next: from >= 6 ? null : String(from + items.length) })(request, response);
    });
    const client = clientOf(url);
    expect(await client.list('/x', z.int(), {})).toEqual({ items: [0, 1, 2, 3, 4, 5, 6, 7, 8], hasMore: false });
    asked.length = 0;
    expect(await client.list('/x', z.int(), {}, 4)).toEqual({ items: [0, 1, 2, 3], hasMore: true });
    expect(asked).toEqual(['-/4', '3/1']);
  });

  it('repeats what is safe to repeat, with the same key, and nothing else', async () => {
    const seen: string[] = [];
    const url = await serve((request, response) => {
      seen.push(`${request.method ?? ''} ${String(request.headers['idempotency-key'] ?? '-')}`);
      if (seen.length % 2 === 1) request.socket.destroy();
      else json({ ok: true })(request, response);
    });
    const schema = z.object({ ok: z.boolean() });
    const client = clientOf(url);
    await client.get('/x', schema);
    expect(seen).toEqual(['GET -', 'GET -']);
    seen.length = 0;
    await client.post('/x', schema, { body: {}, idempotencyKey: null });
    expect(seen).toHaveLength(2);
    expect(seen[0]).toMatch(/^POST [0-9a-f-]{36}$/);
    expect(seen[1]).toBe(seen[0]);
    seen.length = 0;
    await expect(client.post('/x', schema, { body: {} })).rejects.toThrow(UnreachableError);
    expect(seen).toEqual(['POST -']);
  });

  it('sends the token to no other place', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:9/' });
      response.end();
    });
    await expect(clientOf(url).get('/x', z.unknown())).rejects.toThrow(/does not answer/);
  });
});

const entry = (seq: number) => ({
  seq,
  at: '2026-01-01T00:00:00Z',
  kind: 'step-started',
  asset: 'a',
  step: 's',
  data: {},
});
const eventText = (seq: number): string => `id: ${seq}\nevent: entry\ndata: ${JSON.stringify(entry(seq))}\n\n`;

async function collect(client: ApiClient, options: FollowOptions = {}): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of followRun(client, 'run', options)) seen.push(describeEvent(event));
  return seen;
}

function describeEvent(event: RunEvent): string {
  return event.type === 'entry' || event.type === 'log' ? String(event.data.seq) : event.type;
}

describe('following a run', () => {
  it('goes on after the last event when the connection breaks, and says so', async () => {
    const cursors: string[] = [];
    const url = await serve((request, response) => {
      cursors.push(String(request.headers['last-event-id'] ?? '-'));
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      if (cursors.length === 1) {
        response.write(`retry: 1000\n\n: hello\n\n${eventText(1)}${eventText(2)}`);
        // Half an event does not count.
        response.write(eventText(3).slice(0, 20), () => request.socket.destroy());
      } else if (cursors.length === 2) {
        response.end(eventText(3));
      } else {
        const text = `${eventText(4)}event: other\ndata: {}\n\nevent: end\ndata: {}\n\n`;
        // In pieces that split lines.
        for (const piece of text.match(/.{1,7}/gs) ?? []) response.write(piece);
      }
    });
    expect(await collect(clientOf(url))).toEqual(['1', '2', 'lost', 'back', '3', 'lost', 'back', '4']);
    expect(cursors).toEqual(['-', '2', '3']);
  });

  it('takes a silent connection for a dead one', async () => {
    let connections = 0;
    const url = await serve((_request, response) => {
      connections += 1;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(connections === 1 ? eventText(1) : 'event: end\ndata: {}\n\n');
    });
    expect(await collect(clientOf(url), { silenceMs: 200 })).toEqual(['1', 'lost', 'back']);
    expect(connections).toBe(2);
  });

  it('gives up when patience ends, and at once on what no patience mends', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end();
    });
    server?.close();
    server?.closeAllConnections();
    await expect(collect(clientOf(url), { patienceMs: 300 })).rejects.toThrow(/has not come back/);
    server = undefined;
    const denied = await serve(problem(403));
    await expect(collect(clientOf(denied))).rejects.toMatchObject({ status: 403 });
  });

  it('stops when it is interrupted, also between two tries', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(eventText(1));
    });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    await expect(collect(clientOf(url, controller.signal))).rejects.toThrow(InterruptedError);
  });
});
