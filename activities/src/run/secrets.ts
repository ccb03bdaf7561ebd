import { FettleError } from '@fettle/contracts';
import { findCredential, type StoredCredential } from '@fettle/database';
import type { SshCredential } from '@fettle/drivers';
import { withDatabasePatience } from './database-retry.js';
import type { WorkerServices } from './services.js';

export interface OpenedCredential extends StoredCredential {
  readonly value: string;
}

/** Opens credentials for one lane or control step; they live in memory as long as it does, and nowhere else in clear. */
export class Secrets {
  readonly #services: WorkerServices;
  readonly #space: string;
  readonly #opened = new Map<string, Promise<OpenedCredential>>();

  constructor(services: WorkerServices, space: string) {
    this.#services = services;
    this.#space = space;
  }

  /** @throws FettleError `credential-missing` or `unseal-failed` */
  open(name: string): Promise<OpenedCredential> {
    const known = this.#opened.get(name);
    if (known) return known;
    const opened = this.#read(name);
    this.#opened.set(name, opened);
    opened.catch(() => this.#opened.delete(name));
    return opened;
  }

  async value(name: string): Promise<string> {
    return (await this.open(name)).value;
  }

  async forSsh(name: string): Promise<{ credential: SshCredential; username: string | null }> {
    const opened = await this.open(name);
    const credential: SshCredential =
      opened.kind === 'ssh-private-key'
        ? { kind: 'private-key', privateKey: opened.value }
        : { kind: 'password', password: opened.value };
    return { credential, username: opened.username };
  }

  async #read(name: string): Promise<OpenedCredential> {
    const stored = await withDatabasePatience(() =>
      findCredential(this.#services.dataSource.manager, this.#space, name),
    );
    if (!stored) {
      throw new FettleError({
        code: 'credential-missing',
        message: `There is no credential "${name}" in space "${this.#space}".`,
        remedy: `Store it with: fettle credential set ${name}`,
      });
    }
    const identity = { space: stored.space, name: stored.name, version: stored.version };
    return { ...stored, value: Buffer.from(this.#services.keyring.open(stored.sealed, identity)).toString('utf8') };
  }
}
