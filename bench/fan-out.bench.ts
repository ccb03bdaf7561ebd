import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { ensureDebianPackages } from '../test/support/debian-packages.js';
import { startSshd, type Sshd } from '../test/support/sshd.js';
import { TestStack } from '../test/support/stack.js';
import { median, Report } from './report.js';

const run = promisify(execFile);
const HOSTS = 200;
const AT_ONCE = 50;
/** The bare pool is measured at both, and the better one is the limit: what is best differs with the machine. */
const BARE_AT_ONCE = [AT_ONCE, HOSTS] as const;
const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3);
const WARM_STEPS = 10;
/** A program, not the `true` that a shell has inside: Ansible's `command` and Fettle start one whatever the shell has. */
const COMMAND = '/bin/true';

interface Sample {
  readonly wallMs: number;
  /** Of the process that does the work (for Ansible and pdsh with its children), not of sshd. */
  readonly cpuMs: number;
}

describe('fan-out', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let files: { key: string; knownHosts: string; inventory: string; hosts: string };

  beforeAll(async () => {
    await ensureDebianPackages(['ansible-core', 'pdsh', 'time']);
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    // Node options for the worker alone, such as --import of a profiler: FETTLE_BENCH_NODE_OPTIONS.
    stack.environment.NODE_OPTIONS = process.env.FETTLE_BENCH_NODE_OPTIONS ?? '';
    await stack.addHosts(sshd, HOSTS);
    const steps = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        id: `s${index}`,
        uses: 'ssh.run',
        timeout: '30s',
        with: { argv: [COMMAND] },
      }));
    const rollout = { maxConcurrency: HOSTS };
    await stack.addRunbook('one', { targets: 'asset.kind == "server"', rollout, steps: steps(1) });
    await stack.addRunbook('ten', { targets: 'asset.kind == "server"', rollout, steps: steps(WARM_STEPS + 1) });
    files = await peerFiles();
  }, 300_000);

  afterAll(async () => {
    await sshd?.stop();
    await stack?.close();
  });

  async function peerFiles(): Promise<typeof files> {
    const addresses = Array.from({ length: HOSTS }, (_, host) => sshd.address(host));
    const [hostKey] = await sshd.hostKeys();
    const path = (name: string): string => join(sshd.directory, name);
    const names = {
      key: path('peer-key'),
      knownHosts: path('peer-known'),
      inventory: path('peer-inventory'),
      hosts: path('peer-hosts'),
    };
    await writeFile(names.key, sshd.account.privateKey, { mode: 0o600 });
    await writeFile(names.knownHosts, addresses.map((address) => `[${address}]:${sshd.port} ${hostKey}\n`).join(''));
    await writeFile(names.inventory, `[all]\n${addresses.join('\n')}\n`);
    await writeFile(names.hosts, `${addresses.join('\n')}\n`);
    return names;
  }

  /** Wall time, and user plus system time with all children, by GNU time. */
  async function timed(argv: readonly string[], env: Record<string, string>): Promise<Sample> {
    const output = join(sshd.directory, 'time');
    const began = performance.now();
    await run('/usr/bin/time', ['-o', output, '-f', '%U %S', ...argv], {
      env: { PATH: process.env.PATH!, HOME: sshd.directory, LANG: 'C.UTF-8', ...env },
      maxBuffer: 2 ** 26,
    });
    const wallMs = performance.now() - began;
    const [user, system] = (await readFile(output, 'utf8')).trim().split('\n').at(-1)!.split(' ').map(Number);
    return { wallMs, cpuMs: (user! + system!) * 1000 };
  }

  function ansible(module: 'command' | 'raw'): Promise<Sample> {
    const common = `-o UserKnownHostsFile=${files.knownHosts} -o StrictHostKeyChecking=yes -o ControlMaster=no`;
    return timed(
      [
        'ansible',
        'all',
        '-i',
        files.inventory,
        '-m',
        module,
        '-a',
        COMMAND,
        '-f',
        String(AT_ONCE),
        '-u',
        sshd.account.user,
      ],
      {
        ANSIBLE_PIPELINING: 'True',
        ANSIBLE_SSH_ARGS: `${common} -o Port=${sshd.port}`,
        ANSIBLE_PRIVATE_KEY_FILE: files.key,
        ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
        ANSIBLE_LOCALHOST_WARNING: 'False',
      },
    );
  }

  function pdsh(): Promise<Sample> {
    const args = `-oBatchMode=yes -i ${files.key} -p ${sshd.port} -oUserKnownHostsFile=${files.knownHosts} -oStrictHostKeyChecking=yes`;
    return timed(
      ['pdsh', '-S', '-R', 'ssh', '-f', String(AT_ONCE), '-l', sshd.account.user, '-w', `^${files.hosts}`, COMMAND],
      {
        PDSH_SSH_ARGS_APPEND: args,
      },
    );
  }

  async function barePool(atOnce: number): Promise<{ cold: Sample; warm: Sample }> {
    const settings = {
      addresses: Array.from({ length: HOSTS }, (_, host) => sshd.address(host)),
      port: sshd.port,
      user: sshd.account.user,
      keyFile: files.key,
      hostKey: (await sshd.hostKeys())[0],
      argv: COMMAND,
      atOnce,
      warmRounds: WARM_STEPS,
    };
    const script = fileURLToPath(new URL('./bare-pool.mjs', import.meta.url));
    const { stdout } = await run(process.execPath, [script, JSON.stringify(settings)]);
    const result = JSON.parse(stdout) as { cold: Sample; warm: Sample[]; failures: number };
    expect(result.failures).toBe(0);
    const { cold, warm } = result;
    return {
      cold,
      warm: { wallMs: median(warm.map((one) => one.wallMs)), cpuMs: median(warm.map((one) => one.cpuMs)) },
    };
  }

  /** A fresh worker, so that no connection is open yet. */
  async function fettle(runbook: string): Promise<{ run: RunDetail; cpuMs: number; wallMs: number }> {
    const worker = await stack.startWorker();
    try {
      const cpuBefore = await worker.cpuMs();
      const began = performance.now();
      const { id } = await stack.start(runbook);
      const ended = await stack.ended(id, 120_000);
      const wallMs = performance.now() - began;
      expect(ended.counts.succeeded).toBe(HOSTS);
      return { run: ended, cpuMs: (await worker.cpuMs()) - cpuBefore, wallMs };
    } finally {
      await worker.stop();
    }
  }

  async function stepTimes(runId: string): Promise<number[]> {
    const rows: { ms: number }[] = await stack.dataSource.query(
      `SELECT (extract(epoch FROM max(ended_at) - min(started_at)) * 1000)::float8 AS ms FROM run_step WHERE run_id = $1
       GROUP BY step ORDER BY min(started_at)`,
      [runId],
    );
    return rows.map((row) => row.ms);
  }

  /** In the order of the report. */
  function emptySamples(names: readonly string[]): Record<string, Sample[]> {
    return Object.fromEntries(names.map((name) => [name, []]));
  }

  const faster = (samples: readonly Sample[]): Sample => samples.reduce((a, b) => (b.wallMs < a.wallMs ? b : a));
  const bareName = (atOnce: number): string => `bare, ${atOnce} at once`;
  const LIMIT = "bare, the round's better";

  it('measures one command on 200 endpoints, cold and warm', async () => {
    const bareNames = [...BARE_AT_ONCE.map(bareName), LIMIT];
    const cold = emptySamples(['fettle', ...bareNames, 'pdsh', 'ansible raw', 'ansible command']);
    const warm = emptySamples(['fettle', ...bareNames]);
    for (let round = 0; round < ROUNDS; round += 1) {
      const ours: { one?: Awaited<ReturnType<typeof fettle>>; ten?: Awaited<ReturnType<typeof fettle>> } = {};
      const bare: Awaited<ReturnType<typeof barePool>>[] = [];
      const measurements = [
        async () => void (ours.one = await fettle('one')),
        ...BARE_AT_ONCE.map((atOnce, index) => async () => void (bare[index] = await barePool(atOnce))),
        async () => void (ours.ten = await fettle('ten')),
      ];
      if (process.env.FETTLE_BENCH_PEERS !== '0') {
        measurements.push(
          async () => void cold.pdsh!.push(await pdsh()),
          async () => void cold['ansible raw']!.push(await ansible('raw')),
        );
        if (round < 2) measurements.push(async () => void cold['ansible command']!.push(await ansible('command')));
      }
      // Turned round every other time, so that none profits from what goes before it.
      for (const measure of round % 2 === 0 ? measurements : measurements.reverse()) await measure();
      const { one, ten } = ours;
      cold.fettle!.push(one!);
      warm.fettle!.push({
        wallMs: median((await stepTimes(ten!.run.id)).slice(1)),
        cpuMs: (ten!.cpuMs - one!.cpuMs) / WARM_STEPS,
      });
      for (const [index, atOnce] of BARE_AT_ONCE.entries()) {
        cold[bareName(atOnce)]!.push(bare[index]!.cold);
        warm[bareName(atOnce)]!.push(bare[index]!.warm);
      }
      cold[LIMIT]!.push(faster(bare.map((pool) => pool.cold)));
      warm[LIMIT]!.push(faster(bare.map((pool) => pool.warm)));
    }
    const report = new Report(
      'fan-out',
      `\`${COMMAND}\` on ${HOSTS} endpoints of one sshd; peers ${AT_ONCE} at once, the bare pool at ${BARE_AT_ONCE.join(' and at ')}, of which the better is the limit; every other round in reverse order`,
    );
    for (const [name, samples] of Object.entries(cold)) report.add(`cold, ${name}`, samples, HOSTS, cold.fettle!);
    for (const [name, samples] of Object.entries(warm)) report.add(`warm step, ${name}`, samples, HOSTS, warm.fettle!);
    await report.write();
  }, 1_800_000);
});
