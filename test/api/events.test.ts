import { createConnection, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunSummary } from '@fettle/contracts';
import { appendEntries, appendLogs, createDataSource, lockRun, notifyRun, saveLockedRun } from '@fettle/database';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;
let dataSource: Awaited<ReturnType<typeof createDataSource>>;
const assetId = '01900000-0000-7000-8000-000000000001';

beforeAll(async () => {
  api = await startApi();
  dataSource = await createDataSource({ url: api.databaseUrl, poolSize: 8, applicationName: 'test' });
  await api.sql(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', 'web-01', 'server')`, [assetId]);
  const source = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: look}
spec: {targets: 'asset.kind == "server"', steps: [{id: look, uses: ssh.run, with: {argv: [id]}}]}
`;
  expect((await api.call('POST', '/api/v1/documents/apply', { body: { source } })).status).toBe(200);
}, 180_000);
afterAll(async () => {
  await dataSource?.destroy();
  await api?.close();
});

async function newRun(): Promise<string> {
  const answer = await api.call<RunSummary>('POST', '/api/v1/runs', { body: { runbook: 'look' } });
  expect({ status: answer.status, text: answer.status === 202 ? '' : answer.text }).toEqual({ status: 202, text: '' });
  return answer.body.id;
}

interface Written {
  readonly entries?: number;
  readonly logs?: number;
  readonly bodyChars?: number;
}

/** Appends to the run's journal as a lane does. */
async function write(runId: string, { entries = 0, logs = 0, bodyChars = 10 }: Written): Promise<void> {
  await dataSource.transaction(async (transaction) => {
    const run = await lockRun(transaction, runId);
    await appendEntries(
      transaction,
      run,
      Array.from({ length: entries }, () => ({ kind: 'target-state', assetId, data: { state: 'running' } })),
    );
    const chunk = {
      assetId,
      step: 'look',
      generation: 1,
      stream: 'stdout' as const,
      line: 1,
      body: 'x'.repeat(bodyChars),
    };
    await appendLogs(
      transaction,
      run,
      Array.from({ length: logs }, () => chunk),
    );
    await saveLockedRun(transaction, run);
    await notifyRun(transaction, runId);
  });
}

async function endRun(runId: string): Promise<void> {
  await api.sql(`UPDATE run SET state = 'succeeded', ended_at = now() WHERE id = $1`, [runId]);
  await dataSource.transaction((transaction) => notifyRun(transaction, runId));
}

const tail = async (runId: string): Promise<number> =>
  Number((await api.sql<{ seq: string }>('SELECT seq FROM run WHERE id = $1', [runId]))[0]!.seq);

interface Event {
  readonly id: number;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

async function* follow(
  path: string,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): AsyncGenerator<Event> {
  const response = await fetch(`${api.url}${path}`, {
    headers: { authorization: `Bearer ${api.adminToken}`, ...headers },
    ...(signal ? { signal } : {}),
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  let buffered = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffered += decoder.decode(bytes, { stream: true });
    const blocks = buffered.split('\n\n');
    buffered = blocks.pop() ?? '';
    for (const block of blocks) {
      const match = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(block);
      if (match)
        yield { id: Number(match[1]), event: match[2]!, data: JSON.parse(match[3]!) as Record<string, unknown> };
    }
  }
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('events of a run', () => {
  it('come in order, none missing and none twice, while many write; the end comes last', async () => {
    const runId = await newRun();
    const reading = [true, true, false].map((logs) => collect(follow(`/api/v1/runs/${runId}/events?logs=${logs}`)));
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let round = 0; round < 10; round += 1) await write(runId, { entries: 3, logs: 5 });
      }),
    );
    await write(runId, { entries: 250, logs: 250 });
    const last = await tail(runId);
    await endRun(runId);
    const [first, second, entriesOnly] = await Promise.all(reading);
    for (const events of [first!, second!]) {
      expect(events.at(-1)).toMatchObject({ event: 'end', id: last });
      const ids = events.slice(0, -1).map((event) => event.id);
      expect(ids).toEqual(Array.from({ length: last }, (_value, index) => index + 1));
      expect(events.slice(0, -1).every((event) => event.data.seq === event.id)).toBe(true);
    }
    const stored = await api.sql<{ seq: string }>('SELECT seq FROM entry WHERE run_id = $1 ORDER BY seq', [runId]);
    expect(entriesOnly!.slice(0, -1).map((event) => event.id)).toEqual(stored.map((row) => Number(row.seq)));
    expect(new Set(entriesOnly!.slice(0, -1).map((event) => event.event))).toEqual(new Set(['entry']));
  }, 180_000);

  it('go on after the last id a client saw', async () => {
    const runId = await newRun();
    await write(runId, { entries: 30 });
    const last = await tail(runId);
    await endRun(runId);
    const path = `/api/v1/runs/${runId}/events`;
    const resumed = await collect(follow(`${path}?after=3`, { 'last-event-id': '25' }));
    expect(resumed[0]!.id).toBe(26);
    expect(resumed.at(-1)).toMatchObject({ event: 'end', id: last });
    expect((await collect(follow(`${path}?after=3`)))[0]!.id).toBe(4);
    expect((await collect(follow(`${path}?after=${last}`))).map((event) => event.event)).toEqual(['end']);
  });

  it('arrive although the listening connection was cut', async () => {
    const runId = await newRun();
    const abort = new AbortController();
    const events = follow(`/api/v1/runs/${runId}/events?after=${await tail(runId)}`, {}, abort.signal);
    const next = events.next();
    const cut = await api.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fettle-api-listen' AND datname = current_database()`,
    );
    expect(cut).toHaveLength(1);
    await write(runId, { entries: 1 });
    expect((await next).value).toMatchObject({ event: 'entry' });
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const rows = await api.sql(
        `SELECT 1 FROM pg_stat_activity WHERE application_name = 'fettle-api-listen' AND datname = current_database()`,
      );
      if (rows.length === 1) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await write(runId, { entries: 1 });
    expect((await events.next()).value).toMatchObject({ event: 'entry' });
    abort.abort();
    await expect(events.next()).rejects.toThrow();
  }, 180_000);

  it('refuse what is wrong as a problem, before the stream begins', async () => {
    const runId = await newRun();
    const path = `/api/v1/runs/${runId}/events`;
    expect((await api.call('GET', `${path}?after=-1`)).status).toBe(400);
    expect((await api.call('GET', `${path}?logs=perhaps`)).status).toBe(400);
    const wrongId = await api.call('GET', path, { headers: { 'last-event-id': 'x' } });
    expect(wrongId.body).toMatchObject({ status: 400, code: 'invalid-cursor' });
  });
});

/** A reader that takes the beginning of the stream and then nothing more. */
function slowReader(path: string, token: string): Promise<Socket> {
  const { hostname, port } = new URL(api.url);
  return new Promise((resolve, reject) => {
    const socket = createConnection(Number(port), hostname, () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    });
    socket.on('error', reject);
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      socket.unshift(chunk);
      if (chunk.toString('latin1').startsWith('HTTP/1.1 200')) resolve(socket);
      else reject(new Error(chunk.toString('latin1')));
    });
  });
}

/** Opens streams until one is refused; gives the problem. */
async function untilRefused(path: string, token: string): Promise<unknown> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const abort = new AbortController();
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${api.url}${path}`, { headers, signal: abort.signal });
    if (response.status !== 200) return response.json();
    abort.abort();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return null;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes in use, garbage left out. */
const held = (): number => {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

describe('slow readers', () => {
  it('hold one page each and slow nobody', async () => {
    const runId = await newRun();
    const readers = 20;
    const chunks = 400;
    const bodyChars = 32_768;
    for (let round = 0; round < 10; round += 1) await write(runId, { logs: chunks / 10, bodyChars });
    const path = `/api/v1/runs/${runId}/events?logs=true`;
    const before = held();
    const sockets = await Promise.all(Array.from({ length: readers }, () => slowReader(path, api.adminToken)));
    try {
      await endRun(runId);
      let count = 0;
      for await (const event of follow(path)) count += event.event === 'log' ? 1 : 0;
      expect(count).toBe(chunks);
      // Unbounded, each slow reader would hold its whole 13 MB; a page of 32 chunks, with the rows it was made of, is a few.
      expect(held() - before).toBeLessThan((readers * chunks * bodyChars) / 2);
      // One that wakes up gets everything after all.
      const first = sockets[0]!;
      let text = '';
      await new Promise<void>((resolve) => {
        first.on('data', (chunk) => {
          text += chunk.toString('latin1');
          if (text.includes('event: end')) resolve();
        });
        first.resume();
      });
      expect(text.match(/event: log/g)).toHaveLength(chunks);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  }, 180_000);

  it('are limited in number for each principal', async () => {
    const runId = await newRun();
    const token = await api.tokenOf('many-streams', 'viewer');
    const path = `/api/v1/runs/${runId}/events`;
    const sockets: Socket[] = [];
    try {
      for (let index = 0; index < 50; index += 1) sockets.push(await slowReader(path, token));
      expect(await untilRefused(path, token)).toMatchObject({ status: 429, code: 'too-many-streams' });
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    const metric = async (): Promise<string> => (await api.call<string>('GET', '/metrics')).text;
    for (let attempt = 0; attempt < 50 && !(await metric()).includes('fettle_event_streams 0'); attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await metric()).toContain('fettle_event_streams 0');
  }, 180_000);
});

describe('stopping', () => {
  it('ends open streams without an end event, and refuses what comes after', async () => {
    const runId = await newRun();
    const path = `/api/v1/runs/${runId}/events`;
    const received: Event[] = [];
    const reading = Array.from({ length: 3 }, async () => {
      for await (const event of follow(path)) received.push(event);
    });
    for (let attempt = 0; attempt < 100 && received.length < 3; attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await api.stop();
    await Promise.all(reading);
    expect(received.length).toBeGreaterThanOrEqual(3);
    expect(received.filter((event) => event.event === 'end')).toEqual([]);
    await expect(fetch(`${api.url}/healthz`)).rejects.toThrow();
  }, 180_000);
});
