import { createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { canConnect, describePortHolder, findFreePort, isPortFree, listeningInodes } from './ports.js';

// From a real /proc/net/tcp: 7070 (1B9E) listens, an established connection has the same local port.
const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1B9E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1B9E 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4343 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4444 1 0000000000000000 100 0 0 10 0
`;

describe('listeningInodes', () => {
  it('finds the listening socket of a port and no other', () => {
    expect(listeningInodes(TABLE, 7070)).toEqual(['4242']);
    expect(listeningInodes(TABLE, 22)).toEqual(['4444']);
    expect(listeningInodes(TABLE, 50_000)).toEqual([]);
    expect(listeningInodes('', 22)).toEqual([]);
  });
});

describe('a taken port', () => {
  const server = createServer();
  let port = 0;

  beforeEach(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  it('is not free, is not chosen, and accepts', async () => {
    expect(await isPortFree(port)).toBe(false);
    expect(await findFreePort(port)).not.toBe(port);
    expect(await canConnect('127.0.0.1', port)).toBe(true);
  });

  it('is held by this process', () => {
    // Only Linux tells through /proc.
    const expected = process.platform === 'linux' ? expect.stringContaining(`process ${process.pid}`) : undefined;
    expect(describePortHolder(port)).toEqual(expected);
  });
});

describe('a free port', () => {
  it('is chosen when it is preferred, and refuses connections', async () => {
    const port = await findFreePort();
    expect(await findFreePort(port)).toBe(port);
    expect(await canConnect('127.0.0.1', port)).toBe(false);
    expect(describePortHolder(port)).toBeUndefined();
  });
});
