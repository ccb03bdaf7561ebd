import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail, RunLogChunk } from '@fettle/contracts';
import { readLogs } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const MIB = 1_048_576;
const MAX_RESIDENT_BYTES = 600 * MIB;
const MAX_KEPT_BYTES = MIB;

/** A server on loopback that does to each connection what it is told. */
async function hostile(behave: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port };
}

describe('hosts that do not behave', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  const servers: Server[] = [];

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 8);
    const silent = await hostile(() => undefined);
    const endless = await hostile((socket) => {
      const line = Buffer.alloc(65_536, 'x');
      const more = (): void => {
        while (!socket.destroyed && socket.write(line));
      };
      socket.on('drain', more);
      more();
    });
    servers.push(silent.server, endless.server);
    await stack.addHosts(sshd, 2, { prefix: 'hostile' });
    for (const [name, { port }] of [
      ['hostile-000', silent],
      ['hostile-001', endless],
    ] as const) {
      await stack.dataSource.query(
        `UPDATE endpoint SET port = $2, address = '127.0.0.1' WHERE asset_id = (SELECT id FROM asset WHERE name = $1)`,
        [name, port],
      );
    }
    await stack.addRunbook('hello', {
      targets: 'asset.kind == "server"',
      steps: [{ id: 'say', uses: 'ssh.run', with: { argv: ['echo', 'hello'] } }],
    });
    await stack.addRunbook('shout', {
      inputs: { type: 'object', properties: { script: { type: 'string' } }, required: ['script'] },
      targets: 'asset.labels.group == "host"',
      steps: [{ id: 'shout', uses: 'ssh.script', outputs: {}, with: { script: '${{ inputs.script }}' } }],
    });
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    for (const server of servers) server.close();
    await sshd?.stop();
    await stack?.close();
  });

  /** Runs to the end and measures the worker's memory meanwhile. */
  async function measured(runId: string, timeoutMs: number): Promise<{ run: RunDetail; mostBytes: number }> {
    let mostBytes = 0;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        mostBytes = Math.max(mostBytes, await worker.residentBytes());
        await sleep(100);
      }
    })();
    try {
      return { run: await stack.ended(runId, timeoutMs), mostBytes };
    } finally {
      isOver = true;
      await watch;
    }
  }

  async function logsOf(runId: string): Promise<RunLogChunk[]> {
    const chunks: RunLogChunk[] = [];
    for (let after = 0; ;) {
      const page = await readLogs(stack.dataSource.manager, runId, { after, limit: 200 });
      chunks.push(...page.items);
      if (page.next === null) return chunks;
      after = page.next;
    }
  }

  function keptBytes(chunks: readonly RunLogChunk[], asset: string): number {
    // U+FFFD stands for one byte that came, and takes three to store.
    return chunks
      .filter((chunk) => chunk.asset === asset && chunk.stream !== 'note')
      .reduce((sum, chunk) => sum + chunk.body.length, 0);
  }

  it('a host that never speaks and one that speaks endlessly are unreachable; the others go on', async () => {
    const { run, mostBytes } = await measured((await stack.start('hello')).id, 120_000);
    expect(run).toMatchObject({ state: 'failed', counts: { succeeded: 8, unreachable: 2 } });
    for (const target of run.targets) {
      const isHostile = target.asset.startsWith('hostile');
      expect(target.state).toBe(isHostile ? 'unreachable' : 'succeeded');
      if (isHostile) expect(target.error).toMatchObject({ code: 'host-unreachable' });
    }
    process.stderr.write(`hostile servers: worker at most ${Math.round(mostBytes / MIB)} MiB\n`);
    expect(mostBytes).toBeLessThan(MAX_RESIDENT_BYTES);
  }, 150_000);

  it.each([
    ['1 GiB of NUL bytes on one host', 'head -c 1G /dev/zero', 'asset.labels.number == "0"', 1_073_741_824],
    [
      '256 MiB without a newline on one host',
      'head -c 256M /dev/zero | tr "\\0" x',
      'asset.labels.number == "1"',
      268_435_456,
    ],
    ['16 MiB of short lines on eight hosts', 'yes | head -c 16M', undefined, 16_777_216],
    ['8 MiB of invalid UTF-8 on eight hosts', 'head -c 8M /dev/zero | tr "\\0" "\\377"', undefined, 8_388_608],
  ])(
    '%s',
    async (_name, script, on, bytes) => {
      const { id } = await stack.start('shout', { inputs: { script }, ...(on === undefined ? {} : { on }) });
      const { run, mostBytes } = await measured(id, 240_000);
      expect({ state: run.state, error: run.error }).toEqual({ state: 'succeeded', error: null });
      const chunks = await logsOf(id);
      for (const { asset } of run.targets) {
        const kept = keptBytes(chunks, asset);
        expect(kept).toBeLessThanOrEqual(MAX_KEPT_BYTES);
        // The tail drops whole pieces as they came.
        expect(kept).toBeGreaterThan(MAX_KEPT_BYTES - 65_536);
        const notes = chunks.filter((chunk) => chunk.asset === asset && chunk.stream === 'note');
        // What the host did not keep, and what the log did not.
        const left = notes.map((note) =>
          Number(/^\.\.\. (\d+) bytes of output (?:are|were) not kept/.exec(note.body)![1]),
        );
        expect(left.reduce((sum, count) => sum + count, 0)).toBe(bytes - kept);
      }
      process.stderr.write(`${script}: worker at most ${Math.round(mostBytes / MIB)} MiB\n`);
      expect(mostBytes).toBeLessThan(MAX_RESIDENT_BYTES);
    },
    260_000,
  );
});
