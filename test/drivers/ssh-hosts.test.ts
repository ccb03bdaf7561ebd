import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { SshPool, type SshCredential } from '@fettle/drivers';
import { startSshd, type Sshd } from '../support/sshd.js';
import { credentialOf, endpointOf, failureOf, run } from '../support/ssh-client.js';

const password = randomBytes(12).toString('hex');
let sshd: Sshd;
let pool: SshPool;
let credential: SshCredential;

beforeAll(async () => {
  sshd = await startSshd({ users: [{ password }], hostKeys: ['ed25519', 'ecdsa', 'rsa'], maxSessions: 3 });
  pool = new SshPool({ connectTimeoutMs: 10_000 });
  credential = credentialOf(sshd);
}, 300_000);

afterAll(async () => {
  await pool?.close();
  await sshd?.stop();
}, 60_000);

describe('many hosts', () => {
  it('serves 200 commands on 50 hosts at once, one connection a host', async () => {
    const many = new SshPool();
    const endpoints = await Promise.all(Array.from({ length: 50 }, (_, host) => endpointOf(sshd, host)));
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const endpoint = endpoints[index % 50]!;
        const argv = ['sh', '-c', 'echo "$1 ${SSH_CONNECTION% *}"; exit "$2"', 'sh', String(index), String(index % 7)];
        const ran = await run(many, endpoint, credential, { argv });
        expect(ran.result).toMatchObject({ exitCode: index % 7 });
        expect(ran.stdout).toMatch(new RegExp(`^${index} .* ${endpoint.host.replaceAll('.', '\\.')}\\n$`));
        return ran.stdout;
      }),
    );
    expect(new Set(answers).size).toBe(200);
    // The server allows 3 sessions on a connection, so the fourth of each host took a second one.
    expect(many.connections).toBe(100);
    await many.close();
  }, 60_000);

  it('keeps to its limit of connections', async () => {
    const few = new SshPool({ maxConnections: 5 });
    const most: number[] = [];
    await Promise.all(
      Array.from({ length: 40 }, async (_, host) => {
        const ran = await run(few, await endpointOf(sshd, host % 20), credential, {
          argv: ['true'],
          onOutput: () => undefined,
        });
        most.push(few.connections);
        expect(ran.result).toMatchObject({ exitCode: 0 });
      }),
    );
    expect(Math.max(...most)).toBeLessThanOrEqual(5);
    await few.close();
  }, 60_000);

  it('closes connections that nobody uses', async () => {
    const brief = new SshPool({ idleMs: 100 });
    await run(brief, await endpointOf(sshd), credential, { argv: ['true'] });
    expect(brief.connections).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(brief.connections).toBe(0);
    await brief.close();
  });
});

describe('credentials', () => {
  it('logs in with a password', async () => {
    const ran = await run(pool, await endpointOf(sshd, 1), { kind: 'password', password }, { argv: ['id', '-un'] });
    expect(ran.stdout.trim()).toBe(sshd.account.user);
  });

  it('says which credential was refused or cannot be read, and never shows it', async () => {
    const endpoint = await endpointOf(sshd, 2);
    const wrong = await failureOf(run(pool, endpoint, { kind: 'password', password: 'hunter22' }, { argv: ['true'] }));
    expect(wrong).toMatchObject({ code: 'authentication-failed', detail: { mayHaveStarted: false } });
    const nobody = await failureOf(run(pool, { ...endpoint, user: 'no-such-user' }, credential, { argv: ['true'] }));
    expect(nobody.code).toBe('authentication-failed');
    const unreadable = await failureOf(
      run(pool, endpoint, { kind: 'private-key', privateKey: 'hunter22' }, { argv: ['true'] }),
    );
    expect(unreadable.code).toBe('invalid-credential');
    for (const error of [wrong, nobody, unreadable]) {
      expect(JSON.stringify([error.message, error.detail, error.remedy])).not.toContain('hunter22');
    }
  });
});

describe('host keys', () => {
  it('accepts any one pinned type, whichever the server would prefer', async () => {
    const own = new SshPool();
    for (const line of await sshd.hostKeys()) {
      const endpoint = { ...(await endpointOf(sshd, 3)), hostKeys: [line] };
      expect((await run(own, endpoint, credential, { argv: ['true'] })).result).toMatchObject({ exitCode: 0 });
    }
    await own.close();
  });

  it('sends nothing to a host without a pin', async () => {
    const log = await sshd.log();
    for (const hostKeys of [[], ['ssh-ed25519'], ['ssh-dss AAAA'], ['ssh-ed25519 AAAA']]) {
      const error = await failureOf(
        run(pool, { ...(await endpointOf(sshd, 4)), hostKeys }, credential, { argv: ['true'] }),
      );
      expect(error).toMatchObject({ code: 'host-key-unpinned', detail: { mayHaveStarted: false } });
    }
    expect(await sshd.log()).toBe(log);
  });

  it('shows all keys of a host without logging in', async () => {
    const before = (await sshd.log()).length;
    const keys = await pool.scanHostKeys(sshd.address(5), sshd.port, { timeoutMs: 10_000 });
    const expected = (await sshd.hostKeys()).map((line) => line.split(' ').slice(0, 2).join(' '));
    expect(keys.map((key) => key.key).sort()).toEqual([...expected].sort());
    for (const key of keys) expect(key.fingerprintSha256).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    expect((await sshd.log()).slice(before)).not.toMatch(/userauth-request/);
  });

  it('refuses a changed key before any authentication', async () => {
    const endpoint = await endpointOf(sshd, 6);
    const ok = new SshPool();
    await run(ok, endpoint, credential, { argv: ['true'] });
    // What the log of a login looks like, so that its absence below means something.
    expect(await sshd.log()).toMatch(/userauth-request/);
    await ok.close();
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) await sshd.changeHostKey(type);
    await sshd.restart();
    const error = await failureOf(run(pool, endpoint, credential, { argv: ['true'] }));
    expect(error).toMatchObject({ code: 'host-key-mismatch', detail: { mayHaveStarted: false } });
    const [shown] = await pool.scanHostKeys(endpoint.host, endpoint.port, { timeoutMs: 10_000 });
    expect(error.detail).toMatchObject({ seen: shown?.fingerprintSha256 });
    expect(error.detail?.['expected']).toHaveLength(3);
    expect(await sshd.log()).toMatch(/SSH2_MSG_KEXINIT/);
    expect(await sshd.log()).not.toMatch(/userauth-request|Accepted|Failed/);
  }, 60_000);
});
