import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { arch, hostname, networkInterfaces, release, totalmem } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uuidv7 } from 'uuidv7';
import { DemoEstate, demoInventory } from '../../apps/cli/dist/demo/estate.js';
import { demoRoster, type DemoHostProfile } from '../../apps/cli/dist/demo/roster.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

/** One with dpkg, one with rpm. */
const DEMO_HOSTS = ['web-01.ber', 'app-04.lon'];

interface Known {
  readonly facts: Record<string, unknown>;
  readonly identifiers: Record<string, string>;
  readonly sources: readonly string[];
}

describe('asset.gather', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let estate: DemoEstate;
  let worker: WorkerProcess;
  let dataDir: string;
  let runId: string;

  beforeAll(async () => {
    dataDir = await mkdtemp('/tmp/fettle-demo-');
    [stack, sshd, estate] = await Promise.all([TestStack.create(), startSshd(), DemoEstate.start({ dataDir })]);
    await stack.addHosts(sshd, 1);
    await addDemoHosts();
    await stack.addRunbook('gather', { targets: 'true', steps: [{ id: 'read', uses: 'asset.gather', with: {} }] });
    worker = await stack.startWorker();
    const { id } = await stack.start('gather');
    const run = await stack.ended(id);
    expect(run.targets.map(({ asset, state, error }) => [asset, state, error])).toEqual(
      ['host-000', ...DEMO_HOSTS].sort().map((name) => [name, 'succeeded', null]),
    );
    runId = id;
  }, 180_000);

  afterAll(async () => {
    await worker?.stop();
    await estate?.stop();
    await sshd?.stop();
    await stack?.close();
    await rm(dataDir, { recursive: true, force: true });
  }, 60_000);

  async function addDemoHosts(): Promise<void> {
    const { rows, clientPrivateKey } = await demoInventory(dataDir);
    await stack.addCredential('demo', 'ssh-private-key', clientPrivateKey);
    for (const row of rows.filter(({ name }) => DEMO_HOSTS.includes(name))) {
      const id = uuidv7();
      await stack.dataSource.query(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', $2, $3)`, [
        id,
        row.name,
        row.kind,
      ]);
      await stack.dataSource.query(
        `INSERT INTO endpoint (asset_id, transport, address, port, username, credential, host_keys, source)
         VALUES ($1, 'ssh', $2, $3, $4, 'demo', $5, 'test')`,
        [id, row.address, row.port, row.user, [row.hostKey]],
      );
    }
  }

  /** All that is known of an asset, which nobody but the run can have told. */
  async function known(asset: string): Promise<Known> {
    const read = <Row>(table: string): Promise<(Row & { source: string; age: number })[]> =>
      stack.dataSource.query(
        `SELECT t.*, extract(epoch FROM now() - t.observed_at)::float8 AS age
         FROM ${table} t JOIN asset a ON a.id = t.asset_id WHERE a.name = $1`,
        [asset],
      );
    const facts = await read<{ name: string; value: unknown }>('asset_fact');
    const identifiers = await read<{ kind: string; value: string }>('asset_identifier');
    const both = [...facts, ...identifiers];
    for (const { age } of both) expect(age).toBeLessThan(600);
    return {
      facts: Object.fromEntries(facts.map(({ name, value }) => [name, value])),
      identifiers: Object.fromEntries(identifiers.map(({ kind, value }) => [kind, value])),
      sources: [...new Set(both.map(({ source }) => source))],
    };
  }

  it('keeps what a real host says of itself, with its source and time', async () => {
    const { facts, identifiers, sources } = await known('host-000');
    expect(sources).toEqual([`run:${runId}`]);
    const versionId = /^VERSION_ID="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
    expect(facts.os).toMatchObject({ family: 'debian', version: versionId, name: expect.stringMatching(/./) });
    const architecture = { x64: 'x86_64', arm64: 'aarch64' }[arch() as 'x64' | 'arm64'];
    expect(facts.kernel).toEqual({ name: 'Linux', release: release(), architecture });
    expect(facts.memory).toMatchObject({ totalBytes: totalmem() });
    expect((facts.memory as { availableBytes: number }).availableBytes).toBeGreaterThan(0);
    expect(facts.hostname).toBe(hostname());
    expect(facts.boot).toEqual({ id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() });

    const disks = facts.disks as { mount: string; sizeBytes: number; usedPercent: number }[];
    const root = disks.find(({ mount }) => mount === '/');
    const size = spawnSync('df', ['-k', '--output=size', '/'], { encoding: 'utf8' }).stdout.split('\n')[1];
    expect(root?.sizeBytes).toBe(Number(size) * 1024);
    expect(root?.usedPercent).toBeLessThanOrEqual(100);

    // An address of IPv6's link-local scope is in no `hostname -I`; that of an interface without carrier is, but not here.
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80'));
    expect(facts.addresses ?? []).toEqual(expect.arrayContaining(outside.map(({ address }) => address)));

    const packages = facts.packages as Record<string, string>;
    const version = spawnSync('dpkg-query', ['-W', '-f', '${Version}', 'openssh-server'], { encoding: 'utf8' }).stdout;
    expect(packages['openssh-server']).toBe(version);
    expect(Object.keys(packages).length).toBeGreaterThan(50);

    const machineId = existsSync('/etc/machine-id') ? readFileSync('/etc/machine-id', 'utf8').trim() : '';
    expect(identifiers['machine-id'] ?? '').toBe(machineId);
  }, 60_000);

  it.each(DEMO_HOSTS)('keeps what the demo host %s says of itself', async (name) => {
    const profile = demoRoster.find((one) => one.name === name) as DemoHostProfile;
    const { facts, identifiers, sources } = await known(name);
    expect(sources).toEqual([`run:${runId}`]);
    const isRocky = profile.os === 'rocky';
    expect(facts).toEqual({
      os: isRocky
        ? { id: 'rocky', family: 'redhat', name: 'Rocky Linux', version: '9.5' }
        : { id: 'debian', family: 'debian', name: 'Debian GNU/Linux', version: '12' },
      kernel: { name: 'Linux', release: expect.stringMatching(isRocky ? /\.el9/ : /-amd64$/), architecture: 'x86_64' },
      memory: { totalBytes: expect.any(Number), availableBytes: expect.any(Number) },
      disks: expect.arrayContaining([
        {
          mount: '/',
          device: '/dev/vda1',
          sizeBytes: profile.diskGiB * 2 ** 30,
          usedPercent: profile.diskUsedPercent,
        },
      ]),
      addresses: [profile.address],
      hostname: name.slice(0, name.indexOf('.')),
      boot: { id: expect.stringMatching(/^[0-9a-f-]{36}$/) },
      packages: expect.objectContaining({ 'openssh-server': isRocky ? '8.7p1-43.el9' : '1:9.2p1-2+deb12u3' }),
    });
    const { totalBytes, availableBytes } = facts.memory as { totalBytes: number; availableBytes: number };
    expect(totalBytes).toBe(profile.memoryMiB * 2 ** 20);
    expect(availableBytes).toBeLessThan(totalBytes);
    expect(identifiers).toEqual({
      'machine-id': expect.stringMatching(/^[0-9a-f]{32}$/),
      serial: expect.stringMatching(/^DM-(BER|LON)-[0-9A-F]{8}$/),
    });
  });
});
