// Enrolment over the real path: API, outbox, Temporal, a worker process and real sshd hosts.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EnrolResult, Problem } from '@fettle/contracts';
import { fingerprintSha256 } from '@fettle/drivers';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import type { Answer } from '../api/api-server.js';
import { startInventoryApi, type InventoryApi } from './inventory-api.js';

let api: InventoryApi;
let stack: TestStack;
let worker: WorkerProcess | undefined;
let sshd: Sshd;
const wrong = `SHA256:${'A'.repeat(43)}`;

beforeAll(async () => {
  [api, sshd] = await Promise.all([startInventoryApi(), startSshd({ hostKeys: ['ed25519', 'ecdsa'] })]);
  stack = await TestStack.create({ databaseUrl: api.databaseUrl });
  worker = await stack.startWorker();
}, 180_000);
afterAll(async () => {
  await worker?.stop();
  await stack?.close();
  await Promise.all([api?.close(), sshd?.stop()]);
}, 60_000);

let hosts = 0;
/** A new asset that is an address of the sshd. */
async function newAsset(hostKeys: readonly string[] = []): Promise<string> {
  hosts += 1;
  const name = `enrol-${hosts}`;
  await api.set(name, { endpoint: { address: sshd.address(hosts), port: sshd.port, hostKeys } });
  return name;
}

function enrol(name: string, body: object = {}): Promise<Answer<EnrolResult & Problem>> {
  return api.call('POST', `/api/v1/assets/${name}/enrol`, { body });
}

const hostKeyFingerprint = (line: string): string => fingerprintSha256(Buffer.from(line.split(' ')[1]!, 'base64'));
const plain = (line: string): string => line.split(' ').slice(0, 2).join(' ');
const pinned = async (name: string): Promise<string[]> => (await api.asset(name)).endpoint?.hostKeys ?? [];
const keys = async (): Promise<string[]> => (await sshd.hostKeys()).map(plain);
const otherKey = `ssh-ed25519 ${Buffer.concat([Buffer.from('0000000b7373682d6564323535313900000020', 'hex'), Buffer.alloc(32, 7)]).toString('base64')}`;

async function quarantine(name: string): Promise<void> {
  await api.sql(`UPDATE asset SET quarantined_at = now(), quarantine_reason = 'its key changed' WHERE name = $1`, [
    name,
  ]);
}

async function enrolments(name: string): Promise<{ principal: string; detail: Record<string, unknown> }[]> {
  const list = await api.call<{ items: { action: string; principal: string; detail: Record<string, unknown> }[] }>(
    'GET',
    `/api/v1/audit?objectKind=asset&objectName=${name}`,
  );
  return list.body.items.filter((record) => record.action === 'asset.enrol');
}

describe('enrolment', () => {
  it('pins all keys of a host that has none pinned yet, and again changes nothing', async () => {
    const name = await newAsset();
    const first = await enrol(name);
    expect(first).toMatchObject({ status: 200, body: { asset: name, changed: true, quarantineLifted: false } });
    expect((await pinned(name)).sort()).toEqual((await keys()).sort());
    const fingerprints = first.body.hostKeys.map((key) => key.fingerprint).sort();
    expect(fingerprints).toEqual((await sshd.hostKeys()).map(hostKeyFingerprint).sort());
    const before = await api.tables();
    expect(await enrol(name)).toMatchObject({ status: 200, body: { changed: false, quarantineLifted: false } });
    expect(await api.tables()).toBe(before);
    const records = await enrolments(name);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      principal: 'local-admin',
      detail: { before: [], replace: false, expect: null },
    });
  }, 60_000);

  it('pins only the key that a person vouches for', async () => {
    const name = await newAsset();
    const [ed25519] = await keys();
    expect(await enrol(name, { expect: hostKeyFingerprint(ed25519!) })).toMatchObject({
      status: 200,
      body: { changed: true },
    });
    expect(await pinned(name)).toEqual([ed25519]);
    // The host still shows what is pinned; its other key is not taken along.
    expect(await enrol(name)).toMatchObject({ status: 200, body: { changed: false } });
    expect(await pinned(name)).toEqual([ed25519]);
  }, 60_000);

  it('pins nothing where the host shows another key than expected', async () => {
    const name = await newAsset();
    const before = await api.tables();
    const answer = await enrol(name, { expect: wrong });
    expect(answer).toMatchObject({ status: 409, body: { code: 'host-key-mismatch' } });
    for (const line of await sshd.hostKeys()) expect(answer.body.detail).toContain(hostKeyFingerprint(line));
    expect(answer.body.remedy).toContain(`fettle asset enrol ${name} --expect`);
    expect(await api.tables()).toBe(before);
    expect(await enrolments(name)).toEqual([]);
  }, 60_000);

  it('does not take a changed key unasked, and takes it with its fingerprint or a reason', async () => {
    const [ed25519] = await keys();
    const byFingerprint = await newAsset([otherKey]);
    const byReason = await newAsset([otherKey]);
    for (const name of [byFingerprint, byReason]) {
      await quarantine(name);
      const refused = await enrol(name);
      expect(refused).toMatchObject({ status: 409, body: { code: 'host-key-mismatch' } });
      for (const line of [otherKey, ...(await sshd.hostKeys())])
        expect(refused.body.detail).toContain(hostKeyFingerprint(line));
      expect(refused.body.remedy).toContain('--replace --reason');
      expect((await api.asset(name)).quarantine).toMatchObject({ reason: 'its key changed' });
    }
    expect(await enrol(byReason, { replace: true })).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
    expect(await pinned(byReason)).toEqual([otherKey]);
    const lifted = { status: 200, body: { changed: true, quarantineLifted: true } };
    expect(await enrol(byFingerprint, { expect: hostKeyFingerprint(ed25519!) })).toMatchObject(lifted);
    await api.set(byReason, { endpoint: { username: 'ops' } });
    const { address, port } = (await api.asset(byReason)).endpoint!;
    expect(await enrol(byReason, { replace: true, reason: 'set up anew, ticket 17' })).toMatchObject({
      ...lifted,
      body: {
        ...lifted.body,
        host: `ops@${address}:${port}`,
        previousHostKeys: [{ type: 'ssh-ed25519', fingerprint: hostKeyFingerprint(otherKey) }],
      },
    });
    expect(await pinned(byFingerprint)).toEqual([ed25519]);
    expect((await pinned(byReason)).sort()).toEqual((await keys()).sort());
    expect((await api.asset(byReason)).quarantine).toBeNull();
    expect((await enrolments(byReason))[0]?.detail).toMatchObject({
      reason: 'set up anew, ticket 17',
      replace: true,
      liftedQuarantine: 'its key changed',
      before: [{ type: 'ssh-ed25519', fingerprint: hostKeyFingerprint(otherKey) }],
    });
  }, 60_000);

  it('keeps an enrolled key when an import brings another', async () => {
    const name = await newAsset();
    await enrol(name);
    const enrolled = await pinned(name);
    const row = { line: 2, name, address: sshd.address(hosts), port: sshd.port, hostKey: otherKey };
    expect((await api.importRows([row])).body).toMatchObject({ warnings: [{ code: 'kept-by-hand', count: 1 }] });
    expect(await pinned(name)).toEqual(enrolled);
  }, 60_000);

  it('runs commands on an enrolled host and refuses one whose key changed', async () => {
    const [name] = await stack.addHosts(sshd, 1, { prefix: 'whole', first: 200 });
    await api.sql(`UPDATE endpoint SET host_keys = '{}' WHERE asset_id = (SELECT id FROM asset WHERE name = $1)`, [
      name,
    ]);
    await stack.addRunbook('true', {
      targets: 'asset.name == "whole-000"',
      steps: [{ id: 's', uses: 'ssh.run', with: { argv: ['true'] } }],
    });
    const unpinned = await stack.ended((await stack.start('true')).id);
    expect(unpinned.targets[0]?.steps[0]?.error).toMatchObject({ code: 'host-key-unpinned' });
    expect((await enrol(name!)).status).toBe(200);
    expect(await stack.ended((await stack.start('true')).id)).toMatchObject({ state: 'succeeded' });
    await sshd.changeHostKey('ed25519');
    await sshd.changeHostKey('ecdsa');
    await sshd.restart();
    expect(await stack.ended((await stack.start('true')).id)).toMatchObject({
      state: 'failed',
      counts: { quarantined: 1 },
    });
    expect(await enrol(name!)).toMatchObject({ status: 409 });
    expect(await enrol(name!, { expect: hostKeyFingerprint((await sshd.hostKeys())[0]!) })).toMatchObject({
      status: 200,
      body: { changed: true, quarantineLifted: true },
    });
    expect(await stack.ended((await stack.start('true')).id)).toMatchObject({ state: 'succeeded' });
  }, 120_000);

  it('says where no host answers, where none is known and where no worker is', async () => {
    await api.set('nobody-home', { endpoint: { address: '127.0.0.1', port: 1 } });
    const unreachable = await enrol('nobody-home');
    expect(unreachable).toMatchObject({ status: 502, body: { code: 'host-unreachable' } });
    // It was only looked at: no user was to sign in.
    expect(unreachable.body.detail).toMatch(/^127\.0\.0\.1:1: /);
    await api.set('no-address', { kind: 'printer' });
    expect(await enrol('no-address')).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
    expect(await enrol('nothing')).toMatchObject({ status: 404, body: { code: 'not-found' } });
    expect(await enrol('no-address', { expect: 'SHA256:short' })).toMatchObject({ status: 400 });
    await worker?.stop();
    const name = await newAsset();
    expect(await enrol(name)).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    // A worker that comes back later pins nothing any more: the person was told that it failed.
    worker = await stack.startWorker();
    const later = await newAsset();
    expect(await enrol(later)).toMatchObject({ status: 200 });
    expect(await pinned(name)).toEqual([]);
  }, 120_000);
});
