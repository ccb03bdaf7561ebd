import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { checkDisk, checkLocale, checkNode, checkPort } from '../../preflight.mjs';

describe('checkNode', () => {
  it.each(['20.20.0', '20.30.1', '22.12.0', '24.0.0'])('accepts %s', (version) => {
    expect(checkNode(version)).toMatchObject({ ok: true, remedy: '' });
  });

  it.each(['18.20.0', '20.19.9', '21.7.0', '22.11.0'])('refuses %s with a remedy', (version) => {
    expect(checkNode(version)).toMatchObject({
      ok: false,
      fatal: true,
      remedy: expect.stringContaining('20.20') as unknown,
    });
  });
});

describe('checkLocale', () => {
  it('never stops a start', () => {
    expect(checkLocale({})).toMatchObject({ ok: false, fatal: false });
    expect(checkLocale({ LANG: 'de_DE.UTF-8' }).ok).toBe(true);
    expect(checkLocale({ LANG: 'de_DE.UTF-8', LC_ALL: 'POSIX' }).ok).toBe(false);
  });
});

describe('checkDisk', () => {
  it('asks the nearest folder that exists', () => {
    expect(checkDisk('/no/such/folder', 'run').detail).toMatch(/GiB free in \/$/);
  });
});

describe('checkPort', () => {
  it('names the holder of a taken port', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const result = await checkPort(port, '127.0.0.1', () => 'process 7 (x)');
    await new Promise((resolve) => server.close(resolve));
    expect(result).toMatchObject({ ok: false, detail: `port ${port} on 127.0.0.1 is taken by process 7 (x)` });
    expect((await checkPort(port, '127.0.0.1')).ok).toBe(true);
  });

  it('refuses an address that is not of this machine', async () => {
    expect(await checkPort(0, '127.0.0.1')).toMatchObject({ ok: true });
    expect(await checkPort(7070, '192.0.2.1')).toMatchObject({ ok: false });
  });
});
