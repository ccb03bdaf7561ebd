import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoExpectedCounts } from './documents.js';
import { DemoEstate, demoInventory, type DemoInventory, type DemoInventoryRow } from './estate.js';
import { connect, run } from './testing.js';

let dataDir: string;
let estate: DemoEstate;
let inventory: DemoInventory;

function row(name: string): DemoInventoryRow {
  const found = inventory.rows.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no host ${name}`);
  return found;
}

async function on(name: string, command: string): Promise<string> {
  const client = await connect(row(name), inventory);
  try {
    return (await run(client, command)).stdout;
  } finally {
    client.end();
  }
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fettle-demo-'));
  estate = await DemoEstate.start({ dataDir });
  inventory = await demoInventory(dataDir);
}, 60_000);

afterAll(async () => {
  await estate.stop();
  await rm(dataDir, { recursive: true, force: true });
});

describe('the demo estate', () => {
  it('has at least 24 hosts that answer over SSH, and only the three flawed ones differ', async () => {
    const outcomes = await Promise.all(
      inventory.rows.map(async (host) => {
        try {
          const client = await connect(host, inventory);
          const { exitCode } = await run(client, `df -P / | awk 'NR == 2 { sub("%", "", $5); exit ($5 >= 95) }'`);
          client.end();
          return exitCode === 0 ? 'succeeded' : 'failed';
        } catch (error) {
          return String(error).includes('ECONNREFUSED')
            ? 'unreachable'
            : String(error).includes('verification')
              ? 'quarantined'
              : String(error);
        }
      }),
    );
    const counts: Record<string, number> = {};
    for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
    expect(estate.listening).toBeGreaterThanOrEqual(24);
    expect(counts).toEqual(demoExpectedCounts);
    expect(counts).toEqual({ succeeded: estate.size - 3, failed: 1, unreachable: 1, quarantined: 1 });
  }, 30_000);

  it('gives each host its own port, user, host key and identity', async () => {
    const parts: ((host: DemoInventoryRow) => string | number)[] = [
      (host) => host.port,
      (host) => host.user,
      (host) => host.hostKey,
    ];
    for (const part of parts) {
      expect(new Set(inventory.rows.map(part)).size).toBe(inventory.rows.length);
    }
    const reachable = ['web-01.ber', 'web-02.ber', 'db-03.lon', 'ws-anna.ber'];
    const facts = await Promise.all(
      reachable.map((name) =>
        on(
          name,
          'cat /etc/machine-id /proc/sys/kernel/random/boot_id /sys/class/dmi/id/product_serial; hostname; hostname -I; grep MemTotal /proc/meminfo',
        ),
      ),
    );
    const lines = facts.map((text) => text.trim().split('\n'));
    for (let index = 0; index < 5; index += 1)
      expect(new Set(lines.map((host) => host[index])).size).toBe(reachable.length);
    expect(new Set(lines.map((host) => host[5])).size).toBeGreaterThan(1);
  });

  it('has hosts of three distributions whose package lists say so', async () => {
    const [debian, ubuntu, rocky] = await Promise.all([
      on('web-01.ber', `. /etc/os-release; echo "$ID $VERSION_ID"; dpkg-query -W -f='\${Package}\\t\${Version}\\n'`),
      on('app-01.ber', `. /etc/os-release; echo "$ID $VERSION_ID"; dpkg-query -W -f='\${Package}\\t\${Version}\\n'`),
      on('db-03.lon', `. /etc/os-release; echo "$ID $VERSION_ID"; rpm -qa --qf '%{NAME}\\t%{VERSION}-%{RELEASE}\\n'`),
    ]);
    expect(debian).toMatch(/^debian 12\n/);
    expect(ubuntu).toMatch(/^ubuntu 24.04\n/);
    expect(rocky).toMatch(/^rocky 9.5\n/);
    expect(debian).toMatch(/^nginx\t1\.22/m);
    expect(ubuntu).toMatch(/^orders\t4\.1/m);
    expect(rocky).toMatch(/^postgresql-server\t13\.1\d-1\.el9/m);
  });

  it('keeps its keys and memory for the owner only', async () => {
    const folder = join(dataDir, 'demo');
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const { mode } = await stat(join(entry.parentPath, entry.name));
      expect({ name: entry.name, mode: mode & 0o777 }).toEqual({
        name: entry.name,
        mode: entry.isDirectory() ? 0o700 : 0o600,
      });
    }
    expect(await readFile(join(folder, 'estate.json'), 'utf8')).not.toContain('PRIVATE KEY');
  });
});

describe('a restart of the estate', () => {
  it('keeps ports, keys, files, links, modes, services and packages, and moves from a taken port', async () => {
    const changed = await on(
      'web-02.ber',
      'mkdir -p notes && echo "Grüße" > notes/a && chmod 640 notes/a && ln -s notes/a link && sudo systemctl stop nginx && sudo apt-get -y -q upgrade && cat /proc/sys/kernel/random/boot_id',
    );
    const before = inventory;
    await estate.stop();
    const takenPort = row('web-03.ams').port;
    const squatter: Server = createServer();
    await new Promise<void>((resolve) => squatter.listen(takenPort, '127.0.0.1', resolve));
    const said: string[] = [];
    try {
      estate = await DemoEstate.start({ dataDir, say: (line) => said.push(line) });
    } finally {
      await new Promise((resolve) => squatter.close(resolve));
    }
    inventory = await demoInventory(dataDir);
    const expected = before.rows.map((host) =>
      host.name === 'web-03.ams' ? { ...host, port: row('web-03.ams').port } : host,
    );
    expect(inventory.rows).toEqual(expected);
    expect(row('web-03.ams').port).not.toBe(takenPort);
    expect(said.join('\n')).toContain(`port ${takenPort} of web-03.ams is taken`);
    const after = await on(
      'web-02.ber',
      'cat link; stat -c "%a %U" notes/a; readlink link; systemctl is-active nginx; apt list --upgradable; cat /proc/sys/kernel/random/boot_id',
    );
    const bootId = changed.trim().split('\n').at(-1) ?? '';
    expect(bootId).toMatch(/^[0-9a-f-]{36}$/);
    expect(after).toBe(`Grüße\n640 ops-web-02\nnotes/a\ninactive\nListing...\n${bootId}\n`);
  }, 30_000);

  it('says which file is damaged', async () => {
    const other = await mkdtemp(join(tmpdir(), 'fettle-demo-'));
    try {
      await expect(demoInventory(other)).rejects.toMatchObject({ code: 'demo-not-started' });
      const fresh = await DemoEstate.start({ dataDir: other });
      await fresh.stop();
      await writeFile(join(other, 'demo', 'hosts', 'git-01.ams.json'), '{"version":1,');
      await expect(DemoEstate.start({ dataDir: other })).rejects.toMatchObject({ code: 'demo-damaged' });
      // Nothing is left listening after a failed start.
      const { rows } = await demoInventory(other);
      await expect(connect(rows[0]!, inventory)).rejects.toThrow('ECONNREFUSED');
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  }, 30_000);
});
