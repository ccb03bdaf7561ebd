import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import type { Client } from 'ssh2';
import { DemoEstate, demoInventory, type DemoInventory, type DemoInventoryRow } from './estate.js';
import { connect, open, run } from './testing.js';

let dataDir: string;
let estate: DemoEstate;
let inventory: DemoInventory;
let web: Client;
let rocky: Client;

function row(name: string): DemoInventoryRow {
  const found = inventory.rows.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no host ${name}`);
  return found;
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fettle-demo-'));
  estate = await DemoEstate.start({ dataDir });
  inventory = await demoInventory(dataDir);
  web = await connect(row('web-01.ber'), inventory);
  rocky = await connect(row('mail-01.lon'), inventory);
}, 60_000);

afterAll(async () => {
  web.end();
  rocky.end();
  await estate.stop();
  await rm(dataDir, { recursive: true, force: true });
});

describe('a demo host acts', () => {
  it('restarts a service for root only, and the journal tells', async () => {
    const before = (await run(web, 'systemctl show nginx -p MainPID --value')).stdout;
    expect(await run(web, 'systemctl restart nginx')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('authentication required'),
    });
    expect((await run(web, 'sudo -n systemctl stop nginx; systemctl is-active nginx')).exitCode).toBe(3);
    expect((await run(web, 'systemctl status nginx')).exitCode).toBe(3);
    expect(await run(web, 'sudo -n systemctl restart nginx; systemctl is-active nginx')).toMatchObject({
      exitCode: 0,
      stdout: 'active\n',
    });
    expect((await run(web, 'systemctl show nginx -p MainPID --value')).stdout).not.toBe(before);
    expect((await run(web, 'journalctl -u nginx -n 2')).stdout).toMatch(
      /Starting nginx\.service[^\n]*\n[^\n]*Started nginx\.service/,
    );
    expect((await run(web, 'sudo systemctl restart nosuch')).exitCode).toBe(5);
    expect(await run(web, 'systemctl cat -- nginx')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^# .*nginx\.service\n\[Unit\]\n/),
    });
    expect((await run(web, 'systemctl cat -- nosuch')).exitCode).toBe(5);
  });

  it('upgrades, holds and installs packages, one run at a time', async () => {
    expect(await run(web, 'apt-get -y install tree')).toMatchObject({ exitCode: 100 });
    expect(
      (await run(web, 'sudo apt-mark hold libc6 tzdata; sudo apt-get -y -q upgrade; apt list --upgradable')).stdout,
    ).not.toMatch(/^(?!libc6|tzdata).*upgradable from/m);
    expect((await run(web, 'apt-mark showhold')).stdout).toBe('libc6\ntzdata\n');
    await run(web, 'sudo apt-get -y remove htop jq rsync tree');
    const [a, b] = await Promise.all([
      run(web, 'sudo apt-get -y install htop jq rsync'),
      run(web, 'sudo apt-get -y install tree'),
    ]);
    expect([a.exitCode, b.exitCode].toSorted()).toEqual([0, 100]);
    const waiting = await Promise.all([
      run(web, 'sudo apt-get -y install htop jq rsync'),
      run(web, 'sudo apt-get -y -o DPkg::Lock::Timeout=60 install tree'),
    ]);
    expect(waiting.map((result) => result.exitCode)).toEqual([0, 0]);
    expect((await run(web, "dpkg-query -W -f='${Package} ${db:Status-Status}\\n' tree")).stdout).toBe(
      'tree installed\n',
    );
    expect(
      (
        await run(
          rocky,
          'sudo dnf -y install tree >/dev/null; rpm -q tree; sudo dnf -y upgrade >/dev/null; dnf check-update',
        )
      ).stdout,
    ).toBe('tree-1.8.0-10.el9.x86_64\n');
    expect((await run(rocky, 'dpkg-query -W')).exitCode).toBe(127);
  }, 20_000);

  it('reboots: connections drop, boot id and uptime are new, /tmp is empty', async () => {
    const client = await connect(row('git-01.ams'), inventory);
    const before = (await run(client, 'touch /tmp/gone; cat /proc/sys/kernel/random/boot_id')).stdout;
    expect((await run(client, 'reboot')).exitCode).toBe(1);
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    await run(client, 'sudo reboot');
    await closed;
    let again: Client | undefined;
    for (let tries = 0; tries < 40 && !again; tries += 1) {
      again = await connect(row('git-01.ams'), inventory).catch(() => undefined);
      if (!again) await delay(100);
    }
    const after = await run(again!, 'ls /tmp; cat /proc/sys/kernel/random/boot_id; cut -d. -f1 /proc/uptime');
    again?.end();
    const [bootId, uptime] = after.stdout.trim().split('\n');
    expect(bootId).toMatch(/^[0-9a-f-]{36}$/);
    expect(bootId).not.toBe(before.trim());
    expect(Number(uptime)).toBeLessThan(60);
  }, 20_000);

  it('keeps modes, owners and places apart for its user and root', async () => {
    expect(
      (await run(web, 'umask 077; echo x > m; stat -c "%a %U" m; chmod 604 m; echo y >> m; stat -c "%a %s" m')).stdout,
    ).toBe('600 ops-web-01\n604 4\n');
    expect(await run(web, 'echo x > /etc/fettle-demo')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('Permission denied'),
    });
    expect((await run(web, 'ln -s /etc l; echo x > l/fettle-demo')).exitCode).toBe(2);
    expect((await run(web, 'sudo chown root:root m; echo z >> m')).exitCode).toBe(2);
    expect(
      (
        await run(
          web,
          'sudo sh -c "echo x > /etc/fettle-demo"; stat -c "%U %G %a" /etc/fettle-demo; ls -l /etc/fettle-demo',
        )
      ).stdout,
    ).toMatch(/^root root 644\n-rw-r--r-- 1 root root /);
    expect(await run(web, 'cat /root/x')).toMatchObject({ exitCode: 1 });
    expect(await run(web, 'echo x > /no/such/folder')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('nonexistent'),
    });
  });
});

describe('nothing of the real machine', () => {
  it('is read', async () => {
    const real = hostname();
    const result = await run(web, 'cat /etc/hostname; hostname; uname -n; cat /proc/sys/kernel/hostname');
    expect(result.stdout).toBe('web-01\nweb-01\nweb-01\nweb-01\n');
    expect(result.stdout).not.toContain(`${real}\n`);
    for (const path of [
      process.cwd(),
      dataDir,
      process.execPath,
      `/proc/${process.pid}/cmdline`,
      '/proc/self/environ',
      '/etc/ssl/certs',
      `../../../../../..${process.cwd()}/package.json`,
    ]) {
      expect(await run(web, `ls ${path} || cat ${path}`)).toMatchObject({ exitCode: 1, stdout: '' });
    }
    await run(web, 'ln -s / root; ln -s ../../../../../../.. up');
    expect((await run(web, 'ls root/ up/')).stdout).not.toMatch(/lib64|work\b/);
    expect((await run(web, `sudo cat root${process.execPath} up${join(process.cwd(), 'package.json')}`)).stdout).toBe(
      '',
    );
    expect((await run(web, 'env')).stdout).not.toContain(process.env['PATH'] ?? '?');
  });

  it('is written or run', async () => {
    const marker = `/tmp/fettle-demo-${process.pid}`;
    expect((await run(web, `echo x > ${marker}; sudo cp ${marker} ${marker}-root; cat ${marker}-root`)).stdout).toBe(
      'x\n',
    );
    expect(existsSync(marker) || existsSync(`${marker}-root`)).toBe(false);
    for (const command of [
      'curl http://127.0.0.1/',
      'wget http://127.0.0.1/',
      'node -e 1',
      'python3 -c 1',
      'js-exec 1',
      'sqlite3 :memory: "select 1"',
      'ssh localhost',
      process.execPath,
      '/bin/busybox sh',
      'exec 3<>/dev/tcp/127.0.0.1/22; cat <&3',
    ]) {
      const result = await run(web, command);
      expect({ command, stdout: result.stdout, failed: result.exitCode !== 0 }).toEqual({
        command,
        stdout: '',
        failed: true,
      });
    }
    expect((await run(web, `sudo kill -9 ${process.pid}; sudo kill -9 -- -${process.pid}`)).exitCode).toBe(1);
  });
});

describe('a hostile client', () => {
  it('does not get in with another key, another user or a password', async () => {
    const host = row('web-01.ber');
    const other = await demoInventory(dataDir);
    const { generateDemoKeyPair } = await import('./keys.js');
    await expect(connect(host, other, { privateKey: generateDemoKeyPair('other').privateKey })).rejects.toThrow(
      'authentication',
    );
    for (const username of ['root', 'ops-web-02', '', 'x'.repeat(100_000)])
      await expect(connect(host, other, { username })).rejects.toThrow();
    await expect(connect(host, { ...other, clientPrivateKey: '' }, { password: 'x' })).rejects.toThrow(
      'authentication',
    );
  });

  it('gets no sftp, no forwarding and no second command in a session', async () => {
    await expect(
      new Promise((resolve, reject) => web.sftp((error, sftp) => (error ? reject(error) : resolve(sftp)))),
    ).rejects.toThrow();
    await expect(
      new Promise((resolve, reject) =>
        web.forwardOut('127.0.0.1', 1, '127.0.0.1', 22, (error, stream) => (error ? reject(error) : resolve(stream))),
      ),
    ).rejects.toThrow();
    await expect(
      new Promise((resolve, reject) =>
        web.forwardIn('127.0.0.1', 0, (error, port) => (error ? reject(error) : resolve(port))),
      ),
    ).rejects.toThrow();
  });

  it('does no harm with a huge environment, garbage, endless stdin or endless loops', async () => {
    const env = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`V${index}`, 'x'.repeat(10_000)]));
    expect((await run(web, 'echo ok', '', env)).stdout).toBe('ok\n');
    const { channel, ended } = await open(web, 'cat | wc -c');
    const chunk = Buffer.alloc(1024 * 1024);
    let isOver = false;
    void ended.then(() => (isOver = true));
    for (let sent = 0; sent < 200 && !isOver; sent += 1) {
      if (!channel.write(chunk)) await Promise.race([new Promise((resolve) => channel.once('drain', resolve)), ended]);
    }
    expect(await ended).toMatchObject({ signal: 'SIGPIPE', stderr: expect.stringContaining('limited') });
    expect((await run(web, 'while true; do :; done')).exitCode).not.toBe(0);
    expect((await run(web, 'f() { f; }; f')).exitCode).not.toBe(0);
    const { connect: dial } = await import('node:net');
    await Promise.all(
      ['', 'GET / HTTP/1.1\r\n\r\n', '\0'.repeat(100_000)].map(
        (text) =>
          new Promise<void>((resolve) => {
            const socket = dial(row('web-01.ber').port, '127.0.0.1', () => socket.end(text));
            socket.on('error', () => undefined);
            socket.on('close', () => resolve());
            socket.resume();
          }),
      ),
    );
    expect((await run(web, 'echo still here')).stdout).toBe('still here\n');
  }, 60_000);
});
