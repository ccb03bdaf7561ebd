import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FettleError } from '@fettle/contracts';
import { generateDemoKeyPair, type DemoKeyPair } from './keys.js';
import type { MachineSnapshot } from './machine.js';
import { demoRoster } from './roster.js';

/** What DIR/demo/estate.json remembers. Private keys lie in files of their own. */
export interface EstateFile {
  version: 1;
  /** Makes serial numbers, machine ids and MAC addresses differ between estates. */
  seed: string;
  /** `ssh-ed25519 AAAA...` of the estate's client key. */
  clientKey: string;
  hosts: Record<string, { port: number; hostKey: string }>;
}

/** The files of a demo estate below DIR/demo, all of them for the owner only. */
export class EstateStore {
  readonly directory: string;

  constructor(dataDir: string) {
    this.directory = join(dataDir, 'demo');
  }

  private path(...parts: readonly string[]): string {
    return join(this.directory, ...parts);
  }

  /** @throws FettleError `demo-not-started`, `demo-damaged` */
  async readEstate(): Promise<EstateFile> {
    const text = await this.read('estate.json');
    if (text === undefined) {
      throw new FettleError({
        code: 'demo-not-started',
        message: `There is no demo estate in ${this.directory}.`,
        remedy: 'Start it with `fettle up` (without --no-demo) first.',
      });
    }
    return this.parse<EstateFile>('estate.json', text);
  }

  /** Reads the estate or lays out a new one, with all its keys. Ports of new hosts are 0. */
  async open(): Promise<EstateFile> {
    for (const folder of ['', 'keys', 'hosts']) {
      await mkdir(this.path(folder), { recursive: true, mode: 0o700 });
      await chmod(this.path(folder), 0o700);
    }
    const text = await this.read('estate.json');
    const estate: EstateFile =
      text === undefined
        ? { version: 1, seed: randomBytes(16).toString('hex'), clientKey: '', hosts: {} }
        : this.parse<EstateFile>('estate.json', text);
    estate.clientKey = (await this.keyPair('client')).publicKey;
    for (const { name } of demoRoster) {
      estate.hosts[name] = { port: estate.hosts[name]?.port ?? 0, hostKey: (await this.keyPair(name)).publicKey };
    }
    return estate;
  }

  writeEstate(estate: EstateFile): Promise<void> {
    return this.write('estate.json', `${JSON.stringify(estate, null, 2)}\n`);
  }

  /** A key pair that is made when first asked for. */
  async keyPair(name: string): Promise<DemoKeyPair> {
    const file = join('keys', `${name}.json`);
    const text = await this.read(file);
    if (text !== undefined) return this.parse<DemoKeyPair>(file, text);
    const pair = generateDemoKeyPair(name);
    await this.write(file, `${JSON.stringify(pair)}\n`);
    return pair;
  }

  /** What a host remembers; undefined if it never ran. */
  async readHost(name: string): Promise<MachineSnapshot | undefined> {
    const file = join('hosts', `${name}.json`);
    const text = await this.read(file);
    return text === undefined ? undefined : this.parse<MachineSnapshot>(file, text);
  }

  writeHost(name: string, snapshot: MachineSnapshot): Promise<void> {
    return this.write(join('hosts', `${name}.json`), JSON.stringify(snapshot));
  }

  private parse<T extends { version?: number } | DemoKeyPair>(file: string, text: string): T {
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new FettleError({
        code: 'demo-damaged',
        message: `${this.path(file)} is not valid JSON.`,
        remedy: `Remove ${this.directory} to have a new demo estate made at the next start.`,
        cause: error,
      });
    }
  }

  private async read(file: string): Promise<string | undefined> {
    try {
      return await readFile(this.path(file), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Whole or not at all: written beside the file and renamed over it. */
  private async write(file: string, text: string): Promise<void> {
    const temporary = this.path(`${file}.${randomBytes(4).toString('hex')}.tmp`);
    try {
      await writeFile(temporary, text, { mode: 0o600 });
      await rename(temporary, this.path(file));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}
