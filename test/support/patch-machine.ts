// A Debian in a network of its own that reboots when it is asked to.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DebianRoot } from './debian-root.js';
import { addNetworkNamespace, type NetworkNamespace } from './network-namespace.js';

const REQUESTS = 'var/log/reboots';

export class PatchMachine {
  /** So often it was asked, and has done it. */
  reboots = 0;
  #isStopped = false;
  readonly #watching: Promise<void>;

  private constructor(
    readonly root: DebianRoot,
    private readonly network: NetworkNamespace,
  ) {
    this.#watching = this.#watch();
    // Told by `stop`.
    this.#watching.catch(() => undefined);
  }

  static async start(): Promise<PatchMachine> {
    const network = await addNetworkNamespace();
    try {
      const root = await DebianRoot.start({ network });
      // There is no init in there that could reboot anything: it is noted down, and done from outside.
      await root.write('usr/sbin/shutdown', `#!/bin/sh\necho "$@" >> /${REQUESTS}\n`, 0o755);
      await root.write(REQUESTS, '');
      return new PatchMachine(root, network);
    } catch (error) {
      await network.remove();
      throw error;
    }
  }

  get address(): string {
    return this.network.address;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    try {
      await this.#watching;
    } finally {
      await this.root.stop();
      await this.network.remove();
    }
  }

  async #watch(): Promise<void> {
    for (; !this.#isStopped; await sleep(100)) {
      if ((await readFile(this.root.path(REQUESTS), 'utf8')) === '') continue;
      await this.root.write(REQUESTS, '');
      await this.root.halt();
      await this.root.boot();
      this.reboots += 1;
    }
  }
}
