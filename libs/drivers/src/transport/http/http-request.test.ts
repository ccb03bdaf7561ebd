import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FettleError } from '@fettle/contracts';
import { httpRequest, type HttpRequest } from './http-request.js';

let service: Server;
let other: Server;
let base: string;
let otherBase: string;
const seenByOther: IncomingMessage[] = [];

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '/', base);
  switch (pathname) {
    case '/echo':
      response.writeHead(201, { 'x-method': request.method, 'x-token': request.headers.authorization ?? '' });
      request.pipe(response);
      return;
    case '/away':
      response.writeHead(302, { location: `${otherBase}/stolen` }).end();
      return;
    case '/near':
      response.writeHead(303, { location: '/echo' }).end();
      return;
    case '/kept':
      response.writeHead(307, { location: '/echo' }).end();
      return;
    case '/loop':
      response.writeHead(302, { location: '/loop' }).end();
      return;
    case '/endless': {
      const timer = setInterval(() => response.write('x'.repeat(100_000)), 1);
      response.on('close', () => clearInterval(timer));
      return;
    }
    case '/cut':
      response.writeHead(200, { 'content-length': '100' }).write('part');
      setTimeout(() => response.destroy(), 20);
      return;
    case '/silent':
      return;
    default:
      response.writeHead(503).end('no');
  }
}

beforeAll(async () => {
  service = createServer(answer);
  other = createServer((request, response) => {
    seenByOther.push(request);
    response.end('stolen');
  });
  base = await listen(service);
  otherBase = await listen(other);
});

afterAll(() => {
  for (const server of [service, other]) {
    server.closeAllConnections();
    server.close();
  }
});

function send(path: string, more: Partial<HttpRequest> = {}): ReturnType<typeof httpRequest> {
  return httpRequest({
    method: 'GET',
    url: `${base}${path}`,
    timeoutMs: 5_000,
    signal: new AbortController().signal,
    maxBodyBytes: 1_000_000,
    ...more,
  });
}

async function failure(promise: Promise<unknown>): Promise<FettleError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FettleError);
  return error as FettleError;
}

describe('httpRequest', () => {
  it('sends method, headers and body, and takes any status as an answer', async () => {
    const echoed = await send('/echo', { method: 'post', headers: { authorization: 'Bearer t' }, body: 'hällo' });
    expect(echoed).toMatchObject({
      status: 201,
      truncated: false,
      headers: { 'x-method': 'POST', 'x-token': 'Bearer t' },
    });
    expect(echoed.body.toString()).toBe('hällo');
    expect(await send('/missing')).toMatchObject({ status: 503 });
  });

  it('follows redirects within the origin only, and never carries a token away', async () => {
    const headers = { authorization: 'Bearer t' };
    const near = await send('/near', { method: 'POST', body: 'x', headers });
    expect(near).toMatchObject({
      status: 201,
      url: `${base}/echo`,
      headers: { 'x-method': 'GET', 'x-token': 'Bearer t' },
    });
    const kept = await send('/kept', { method: 'POST', body: 'x' });
    expect([kept.headers['x-method'], kept.body.toString()]).toEqual(['POST', 'x']);
    expect(await failure(send('/away', { headers }))).toMatchObject({ code: 'http-redirect-refused' });
    expect(await failure(send('/loop'))).toMatchObject({ code: 'http-redirect-refused' });
    expect(await send('/away', { redirect: 'none' })).toMatchObject({ status: 302 });
    expect(seenByOther).toEqual([]);
  });

  it('leaves open what a request did that was answered, where the redirect after it leads nowhere', async () => {
    const once = createServer((_request, response) => {
      // Nobody listens any more when the redirect is followed.
      once.close();
      response.writeHead(303, { location: '/next', connection: 'close' }).end();
    });
    const url = `${await listen(once)}/do`;
    expect(await failure(send('', { url, method: 'POST' }))).toMatchObject({
      code: 'http-unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
      detail: { mayHaveStarted: true },
    });
  });

  it('reads no more of a body than asked', async () => {
    const read = await send('/endless', { maxBodyBytes: 150_000 });
    expect(read).toMatchObject({ truncated: true });
    expect(read.body.length).toBe(150_000);
  });

  it('names what went wrong and whether the server may have seen the request', async () => {
    const closed = createServer();
    const nowhere = await listen(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await failure(send('', { url: `${nowhere}/x?token=hunter22` }))).toMatchObject({
      code: 'http-unreachable',
      detail: { mayHaveStarted: false },
      message: expect.not.stringContaining('hunter22'),
    });
    expect(await failure(send('/cut'))).toMatchObject({ code: 'http-unreachable', detail: { mayHaveStarted: true } });
    expect(await failure(send('/silent', { timeoutMs: 100 }))).toMatchObject({
      code: 'http-timeout',
      detail: { mayHaveStarted: true },
    });
    const abort = new AbortController();
    const cancelled = failure(send('/silent', { signal: abort.signal }));
    setTimeout(() => abort.abort(), 50);
    expect(await cancelled).toMatchObject({ code: 'cancelled' });
    expect(await failure(send('/echo', { signal: AbortSignal.abort() }))).toMatchObject({
      detail: { mayHaveStarted: false },
    });
    for (const url of ['file:///etc/passwd', 'nonsense', 'http://a:b@127.0.0.1/']) {
      expect((await failure(send('', { url }))).code).toBe('invalid-argument');
    }
  });
});
