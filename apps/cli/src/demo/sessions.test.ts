import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'ssh2';
import { DemoEstate, demoInventory, type DemoInventory } from './estate.js';
import { connect, open, run, type CommandResult } from './testing.js';

let dataDir: string;
let estate: DemoEstate;
let inventory: DemoInventory;
let client: Client;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fettle-demo-'));
  estate = await DemoEstate.start({ dataDir });
  inventory = await demoInventory(dataDir);
  client = await connect(inventory.rows[0]!, inventory);
}, 60_000);

afterAll(async () => {
  client.end();
  await estate.stop();
  await rm(dataDir, { recursive: true, force: true });
});

/** The first line that a command prints, while it runs. */
async function start(command: string): Promise<{ line: string; ended: Promise<CommandResult> }> {
  const { channel, first, ended } = await open(client, command);
  channel.end();
  return { line: await first, ended };
}

describe('a session', () => {
  it('returns exit codes, and keeps stdout and stderr apart', async () => {
    expect(await run(client, 'echo out; echo err >&2; exit 7')).toEqual({
      exitCode: 7,
      signal: undefined,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(await run(client, 'echo both 2>&1 >/dev/null; echo x >&2 2>/dev/null')).toMatchObject({
      stdout: '',
      stderr: 'x\n',
    });
    expect((await run(client, 'no-such-command')).exitCode).toBe(127);
    expect((await run(client, 'if')).exitCode).toBe(2);
  });

  it('becomes a command by exec, with its arguments whole', async () => {
    const result = await run(client, `echo "$$" >&2; exec printf '%s|' 'a b' '*' '$HOME' "it's"; echo never`);
    expect(result).toMatchObject({ exitCode: 0, stdout: "a b|*|$HOME|it's|" });
    expect(Number(result.stderr)).toBeGreaterThan(1);
    expect(await run(client, `exec sh -c 'echo "$0 $# $1"; exit 3' name 'x y' z; echo never`)).toMatchObject({
      exitCode: 3,
      stdout: 'name 2 x y\n',
    });
  });

  it('passes stdin to scripts, files and loops, byte for byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    expect((await run(client, 'exec /bin/sh -s one', 'echo "script $1"; exit 4')).exitCode).toBe(4);
    expect(await run(client, 'cat > all.bin; sha256sum < all.bin; wc -c < all.bin', bytes)).toMatchObject({
      stdout: '40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880  -\n256\n',
    });
    expect((await run(client, 'base64 -w 0 all.bin')).stdout.trim()).toBe(bytes.toString('base64'));
    expect((await run(client, 'cat all.bin', '', undefined, 'latin1')).stdout).toBe(bytes.toString('latin1'));
    expect((await run(client, 'while read -r line; do echo "[$line]"; done', 'a b\nc\n')).stdout).toBe('[a b]\n[c]\n');
  });

  it('does not wait for the end of stdin where nothing reads it', async () => {
    expect((await run(client, 'cat /etc/hostname; uptime >/dev/null; sudo id -u', null)).stdout).toBe('web-01\n0\n');
  });

  it('shows output while the command runs, and answers before stdin has ended', async () => {
    const { line, ended } = await start('echo first; sh -c "echo second; sleep 30"');
    expect(line).toMatch(/^first/);
    const pid =
      (await run(client, 'ps -e -o pgid=,args= | grep "sleep 30" | head -1')).stdout.trim().split(/\s+/)[0] ?? '';
    expect((await run(client, `kill -KILL -- -${pid}`)).exitCode).toBe(0);
    expect(await ended).toMatchObject({ signal: 'SIGKILL', stdout: 'first\nsecond\n' });
    const { channel, first, ended: stored } = await open(client, 'echo ready; cat > asked; echo stored');
    expect(await first).toBe('ready');
    channel.end('answer');
    expect((await stored).stdout).toBe('ready\nstored\n');
    expect((await run(client, 'cat asked')).stdout).toBe('answer');
  });

  it('takes variables, and a session of its own has none of them', async () => {
    expect((await run(client, 'echo "$LC_TEST"; sh -c \'echo "$LC_TEST"\'', '', { LC_TEST: 'a b' })).stdout).toBe(
      'a b\na b\n',
    );
    expect((await run(client, 'echo "[$LC_TEST]"')).stdout).toBe('[]\n');
  });

  it('runs an exit handler, also when it is killed', async () => {
    await run(client, `t=$(mktemp); trap 'rm -f "$t"; echo done > ended' EXIT; echo x > "$t"; exit 5`);
    expect((await run(client, 'cat ended; ls /tmp')).stdout).toBe('done\n');
    const { line, ended } = await start(`trap 'echo killed > ended' EXIT; echo $$; sleep 30`);
    await run(client, `kill ${line}`);
    await ended;
    expect((await run(client, 'cat ended')).stdout).toBe('killed\n');
  });
});

describe('ending a session', () => {
  it('ends the process group by its id from a second channel, with sudo in between as well', async () => {
    for (const command of [
      'echo $$; exec sleep 60',
      "echo $$; exec sudo -n -H -u root -- /bin/sh -c 'sleep 60' name",
    ]) {
      const { line, ended } = await start(command);
      expect((await run(client, `kill -0 -- -${line}`)).exitCode).toBe(0);
      expect((await run(client, `kill -TERM -- -${line}`)).exitCode).toBe(0);
      expect(await ended).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
      expect((await run(client, `kill -0 -- -${line}`)).exitCode).toBe(1);
    }
  });

  it('leaves other sessions alone, each with a process id of its own', async () => {
    const [a, b] = await Promise.all([start('echo $$; sleep 0.5; echo end'), start('echo $$; sleep 30')]);
    expect(a.line).not.toBe(b.line);
    await run(client, `kill -TERM -- -${b.line}`);
    expect(await b.ended).toMatchObject({ signal: 'SIGTERM' });
    expect(await a.ended).toMatchObject({ exitCode: 0, stdout: `${a.line}\nend\n` });
  });

  it('follows a signal request and a closed connection', async () => {
    const { channel, ended } = await open(client, 'sleep 60');
    channel.signal('INT');
    expect(await ended).toMatchObject({ signal: 'SIGINT' });
    const other = await connect(inventory.rows[0]!, inventory);
    await open(other, 'sleep 61');
    other.destroy();
    let left = 'sleep 61';
    for (let tries = 0; tries < 50 && left.includes('sleep 61'); tries += 1) {
      left = (await run(client, 'ps -e -o args= | grep "^ *sleep 6[1]"')).stdout;
    }
    expect(left).toBe('');
  });
});

it('answers 100 commands at once on shared files', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(inventory.rows[0]!, inventory)));
  try {
    const results = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        run(clients[index % 20]!, `echo ${index} > /tmp/n-${index}; cat /tmp/n-${index}; exit ${index % 50}`),
      ),
    );
    results.forEach((result, index) =>
      expect(result).toEqual({ exitCode: index % 50, signal: undefined, stdout: `${index}\n`, stderr: '' }),
    );
    expect((await run(client, 'ls /tmp | grep -c "^n-"')).stdout).toBe('100\n');
  } finally {
    for (const each of clients) each.end();
  }
}, 60_000);

describe('background jobs', () => {
  it('run beside the script, answer to $! and wait, and hold the session until they end', async () => {
    const result = await run(client, '(sleep 0.3; echo late; exit 3) & p=$!; echo early; wait $p; echo "code $?"');
    expect(result).toMatchObject({ exitCode: 0, stdout: 'early\nlate\ncode 3\n' });
    expect((await run(client, 'v=x; (sleep 0.2; echo "$v" last) & echo first')).stdout).toBe('first\nx last\n');
  });

  it('outlive the session under setsid, and can be ended from another', async () => {
    const { stdout } = await run(client, "setsid sh -c 'echo on > detached; sleep 60; echo off > detached' & echo $!");
    const pid = stdout.trim();
    expect(Number(pid)).toBeGreaterThan(1);
    expect((await run(client, `kill -0 -- -${pid}; echo $?; cat detached`)).stdout).toBe('0\non\n');
    expect((await run(client, `kill -TERM -- -${pid}; sleep 0.1; kill -0 ${pid}`)).exitCode).toBe(1);
    expect((await run(client, 'cat detached')).stdout).toBe('on\n');
  });
});
