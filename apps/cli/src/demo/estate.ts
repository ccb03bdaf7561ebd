import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import type { Labels } from '@fettle/contracts';
import { demoCommandNames } from './commands/index.js';
import { Machine } from './machine.js';
import { demoRoster, type DemoHostProfile } from './roster.js';
import { HostServer } from './ssh-server.js';
import { EstateStore, type EstateFile } from './store.js';

/** Name of the credential under which the estate's client key is stored in Fettle. */
export const DEMO_CREDENTIAL_NAME = 'demo-ssh';

const saveDelayMs = 300;
// Below the ports that Linux hands out to outgoing connections, so that a remembered port stays free.
const firstPort = 20_000;
const lastPort = 31_000;
const maxPortTries = 500;

/** A row of the demo's inventory, as the CLI imports it. */
export interface DemoInventoryRow {
  readonly name: string;
  readonly kind: DemoHostProfile['kind'];
  readonly site: string;
  readonly owner: string;
  readonly criticality: DemoHostProfile['criticality'];
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** `ssh-ed25519 AAAA...`, to be pinned. */
  readonly hostKey: string;
  readonly labels: Labels;
  readonly credentialName: string;
}

export interface DemoInventory {
  readonly rows: readonly DemoInventoryRow[];
  /** OpenSSH private key of the credential `demo-ssh`. A secret. */
  readonly clientPrivateKey: string;
}

/**
 * The inventory of the estate in `dataDir`, which must have been started once.
 * @throws FettleError `demo-not-started`, `demo-damaged`
 */
export async function demoInventory(dataDir: string): Promise<DemoInventory> {
  const store = new EstateStore(dataDir);
  const estate = await store.readEstate();
  const { privateKey } = await store.keyPair('client');
  const rows = demoRoster.flatMap((profile): DemoInventoryRow[] => {
    const host = estate.hosts[profile.name];
    if (!host) return [];
    return [
      {
        name: profile.name,
        kind: profile.kind,
        site: profile.site,
        owner: profile.owner,
        criticality: profile.criticality,
        address: '127.0.0.1',
        port: host.port,
        user: profile.user,
        hostKey: host.hostKey,
        labels: { estate: 'demo', site: profile.site, role: profile.role, env: profile.env, os: profile.os },
        credentialName: DEMO_CREDENTIAL_NAME,
      },
    ];
  });
  return { rows, clientPrivateKey: privateKey };
}

/** Whether a port on 127.0.0.1 can be listened on now. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

interface RunningHost {
  readonly machine: Machine;
  readonly server: HostServer | undefined;
}

export interface DemoEstateOptions {
  /** Fettle's data directory; the estate keeps its files in `demo` below. */
  readonly dataDir: string;
  /** Takes lines for a person, such as a port that had to change. */
  readonly say?: (line: string) => void;
}

/** All demo hosts in one process. */
export class DemoEstate {
  private readonly hosts = new Map<string, RunningHost>();
  private readonly pendingSaves = new Map<string, NodeJS.Timeout>();
  private saving: Promise<void> = Promise.resolve();
  private stopped = false;
  // A random start, so that two estates of one machine seldom meet.
  private nextPort = randomInt(firstPort, lastPort);

  private constructor(
    private readonly store: EstateStore,
    private readonly say: (line: string) => void,
  ) {}

  /** Starts every host that is to be reachable. Rejects if the files are damaged or no port is free. */
  static async start(options: DemoEstateOptions): Promise<DemoEstate> {
    const estate = new DemoEstate(new EstateStore(options.dataDir), options.say ?? (() => undefined));
    const file = await estate.store.open();
    const before = JSON.stringify(file.hosts);
    try {
      for (const profile of demoRoster) await estate.startHost(profile, file);
    } catch (error) {
      await estate.stop();
      throw error;
    }
    if (JSON.stringify(file.hosts) !== before || before.includes('"port":0'))
      estate.say('the demo hosts and their ports are listed in demo/estate.json');
    await estate.store.writeEstate(file);
    return estate;
  }

  /** Hosts in the inventory, the unreachable one included. */
  get size(): number {
    return this.hosts.size;
  }

  get listening(): number {
    return [...this.hosts.values()].filter((host) => host.server !== undefined).length;
  }

  /** The simulated host itself, for tests. */
  machine(name: string): Machine | undefined {
    return this.hosts.get(name)?.machine;
  }

  /** Ends all sessions, stops listening and writes down what changed. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    await Promise.all([...this.hosts.values()].map(async (host) => host.server?.close()));
    for (const [name, timer] of this.pendingSaves) {
      clearTimeout(timer);
      this.save(name);
    }
    this.pendingSaves.clear();
    await this.saving;
  }

  private async startHost(profile: DemoHostProfile, file: EstateFile): Promise<void> {
    const { name } = profile;
    const snapshot = await this.store.readHost(name);
    const machine = snapshot
      ? await Machine.restore(profile, snapshot, demoCommandNames)
      : Machine.fresh(profile, file.seed, demoCommandNames);
    machine.onChange = () => this.scheduleSave(name);
    if (!snapshot) this.scheduleSave(name);
    const entry = file.hosts[name];
    if (!entry) throw new Error(`${name} has no entry in the estate's file`);
    if (profile.flaw === 'unreachable') {
      if (entry.port === 0 || !(await isFree(entry.port)))
        entry.port = await this.choosePort(name, entry.port, file, isFree);
      this.hosts.set(name, { machine, server: undefined });
      return;
    }
    // The one with the changed key presents another than the inventory pins.
    const key = await this.store.keyPair(profile.flaw === 'host-key-changed' ? `${name}.changed` : name);
    const server = new HostServer({ machine, hostKey: key.privateKey, clientKey: file.clientKey });
    const listens = (port: number): Promise<boolean> => server.listen(port).then(() => true, (error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' || code === 'EACCES') return false;
      throw error;
    }); // prettier-ignore
    if (entry.port === 0 || !(await listens(entry.port)))
      entry.port = await this.choosePort(name, entry.port, file, listens);
    this.hosts.set(name, { machine, server });
  }

  private async choosePort(
    name: string,
    taken: number,
    file: EstateFile,
    works: (port: number) => Promise<boolean>,
  ): Promise<number> {
    const used = new Set(Object.values(file.hosts).map((host) => host.port));
    for (let tries = 0; tries < maxPortTries; tries += 1) {
      const port = (this.nextPort = this.nextPort >= lastPort ? firstPort : this.nextPort + 1);
      if (used.has(port) || !(await works(port))) continue;
      if (taken !== 0) this.say(`port ${taken} of ${name} is taken by another process; it now listens on ${port}`);
      return port;
    }
    throw new Error(`no free port for ${name} on 127.0.0.1 between ${firstPort} and ${lastPort}`);
  }

  private scheduleSave(name: string): void {
    if (this.stopped || this.pendingSaves.has(name)) return;
    const timer = setTimeout(() => {
      this.pendingSaves.delete(name);
      this.save(name);
    }, saveDelayMs);
    this.pendingSaves.set(name, timer);
  }

  /** Saves one after the other, so that a newer state is never overwritten by an older one. */
  private save(name: string): void {
    const machine = this.hosts.get(name)?.machine;
    if (!machine) return;
    this.saving = this.saving
      .then(async () => this.store.writeHost(name, await machine.snapshot()))
      .catch((error: unknown) =>
        this.say(`cannot save ${name}: ${error instanceof Error ? error.message : String(error)}`),
      );
  }
}
