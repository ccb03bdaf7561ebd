import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ApiProcess } from '../support/api-process.js';
import { DebianRepository, type TestPackage } from '../support/debian-repository.js';
import { guideBlocks, saidPattern, saidText, type GuideBlock } from '../support/guide-page.js';
import { GuideShell } from '../support/guide-shell.js';
import { PatchMachine } from '../support/patch-machine.js';
import { READY_MADE } from '../support/ready-made.js';
import { ended } from '../support/ready-made-hosts.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const PATIENCE_MS = 300_000;
const BIN = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url));

const installed: TestPackage[] = [
  { name: 'dbus', version: '1.14.8-2~deb12u1' },
  { name: 'nginx', version: '1.22.1-9' },
  { name: 'postgresql-15', version: '15.8-0+deb12u1' },
  { name: 'rsync', version: '3.2.7-1' },
];
/** What it says of the kernel must not be what this machine's own is. */
const needrestart: TestPackage = {
  name: 'needrestart',
  version: '3.6-4+deb12u3',
  postinst: `printf '#!/bin/sh\\necho "NEEDRESTART-KSTA: 1"\\n' > /usr/sbin/needrestart; chmod 0755 /usr/sbin/needrestart`,
};
const security: TestPackage[] = [
  {
    name: 'dbus',
    version: '1.14.10-1~deb12u1',
    postinst: 'touch /run/reboot-required; echo dbus >> /run/reboot-required.pkgs',
  },
  { name: 'nginx', version: '1.22.1-9+deb12u3' },
  { name: 'postgresql-15', version: '15.14-0+deb12u1' },
];
const rsync: TestPackage = { name: 'rsync', version: '3.2.7-1+deb12u3' };

describe('the guide to patching, carried out as it stands', () => {
  let stack: TestStack;
  let worker: WorkerProcess | undefined;
  let api: ApiProcess | undefined;
  let shell: GuideShell | undefined;
  let folder: string;
  const machines: PatchMachine[] = [];
  const repositories: DebianRepository[] = [];

  beforeAll(async () => {
    stack = await TestStack.create();
    for (let host = 0; host < 2; host += 1) await addMachine();
    worker = await stack.startWorker();
    api = await ApiProcess.start(stack.environment);
    folder = await mkdtemp(join(tmpdir(), 'fettle-guide-'));
    await symlink(READY_MADE, join(folder, 'runbooks'));
    shell = new GuideShell(folder, {
      HOME: folder,
      LC_ALL: 'C.UTF-8',
      // `fettle` as npm links it.
      PATH: [BIN, dirname(process.execPath), process.env['PATH']].join(':'),
      FETTLE_URL: api.url,
      FETTLE_TOKEN: api.token,
      WEB1: machines[0]?.address,
      WEB2: machines[1]?.address,
    });
  }, 900_000);
  afterAll(async () => {
    shell?.stop();
    await api?.stop();
    await worker?.stop();
    for (const machine of machines) await machine.stop();
    await stack?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }, 120_000);

  /** A host as a newcomer has it: packages that are behind, no user of Fettle's, no needrestart. */
  async function addMachine(): Promise<void> {
    const machine = await PatchMachine.start();
    machines.push(machine);
    const { root } = machine;
    await root.inside('dpkg', '--purge', 'needrestart');
    const repository = await DebianRepository.create(root);
    repositories.push(repository);
    await repository.add('main', ...installed);
    await root.inside('apt-get', '-q', 'update');
    await root.inside('apt-get', '-y', '-q', 'install', ...installed.map(({ name }) => name));
    await repository.add('main', needrestart, rsync);
    await repository.add('security', ...security);
  }

  /** On each host, as root; what stands in `marks.stdin` is what is typed or pasted there. */
  async function onHosts({ text, marks }: GuideBlock): Promise<string[]> {
    const typed = marks['stdin'] === undefined ? '' : await readFile(join(folder, marks['stdin']), 'utf8');
    const said: string[] = [];
    for (const { root } of machines) {
      await root.write('root/typed', typed);
      said.push(await root.inside('sh', '-c', 'cd / && exec sh -e -c "$1" </root/typed 2>&1', 'sh', text));
    }
    return said;
  }

  async function carryOut(block: GuideBlock): Promise<string[]> {
    const { language, marks, text, line } = block;
    if (language === 'yaml' && marks['file'] !== undefined) {
      await writeFile(join(folder, marks['file']), text);
      return [];
    }
    if (language !== 'sh') throw new Error(`line ${line}: nobody knows what to do with "${language}"`);
    if (marks['on'] === 'host') return onHosts(block);
    return [await shell!.run(text, PATIENCE_MS)];
  }

  const versions = (name: string): Promise<string[]> => Promise.all(machines.map(({ root }) => root.version(name)));

  it('block by block, with what it says', async () => {
    let said: string[] = [];
    const left: string[] = [];
    const told: string[] = [];
    for (const block of guideBlocks('how-to/patch-hosts.md')) {
      const { language, marks, text, line } = block;
      if (language === 'text') {
        for (const one of said)
          expect({ line, said: saidText(one) }).toEqual({ line, said: expect.stringMatching(saidPattern(text)) });
        continue;
      }
      if ('yours' in marks) {
        left.push(...text.trim().split('\n'));
        continue;
      }
      said = await carryOut(block);
      told.push(...said);
    }
    expect(left.map((line) => line.replace(/\s+#.*/, ''))).toEqual([
      'npm start -- --no-demo',
      'export PATH="$PWD/node_modules/.bin:$PATH"',
      'WEB1=192.0.2.11 WEB2=192.0.2.12',
    ]);
    expect(await versions('dbus')).toEqual(['1.14.10-1~deb12u1', '1.14.10-1~deb12u1']);
    expect(await versions('nginx')).toEqual(['1.22.1-9+deb12u3', '1.22.1-9+deb12u3']);
    expect(await versions('rsync')).toEqual([rsync.version, rsync.version]);
    expect(await versions('postgresql-15')).toEqual(['15.14-0+deb12u1', '15.14-0+deb12u1']);
    expect(machines.map(({ reboots }) => reboots)).toEqual([1, 1]);
    // What was pinned is what the hosts themselves show.
    const shown = told.flatMap((text) =>
      [...text.matchAll(/(?:ssh-ed25519|^256) (SHA256:\S+)/gm)].map(([, print]) => print),
    );
    expect([shown.length, new Set(shown).size]).toEqual([4, 2]);
    expect(await readFile(join(folder, 'patches.csv'), 'utf8')).toMatch(/^web1,compliant,lab,/m);
  }, 1_200_000);

  it(
    'its runbook installs by itself what has been on offer for two days, and no database',
    async () => {
      const newer: TestPackage[] = [
        { name: 'nginx', version: '1.22.1-9+deb12u4' },
        { name: 'postgresql-15', version: '15.15-0+deb12u1' },
      ];
      for (const repository of repositories) await repository.add('security', ...newer);
      const go = async (runbook: string) => ended(await stack.ended((await stack.start(runbook)).id, PATIENCE_MS));
      expect(await go('scan-patches')).toMatchObject({ state: 'succeeded' });
      expect(await go('install-security-updates')).toMatchObject({ state: 'succeeded' });
      expect(await versions('nginx')).toEqual(['1.22.1-9+deb12u3', '1.22.1-9+deb12u3']);
      await stack.dataSource.query(`UPDATE patch_version SET first_seen_at = now() - interval '3 days'`);
      expect(await go('install-security-updates')).toMatchObject({ state: 'succeeded' });
      expect(await versions('nginx')).toEqual(['1.22.1-9+deb12u4', '1.22.1-9+deb12u4']);
      expect(await versions('postgresql-15')).toEqual(['15.14-0+deb12u1', '15.14-0+deb12u1']);
    },
    PATIENCE_MS,
  );
});
