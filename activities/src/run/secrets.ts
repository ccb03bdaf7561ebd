import { FettleError, type FettleErrorOptions } from '@fettle/contracts';
import { findCredential, type StoredCredential } from '@fettle/database';
import type { SshCredential } from '@fettle/drivers';
import { withDatabasePatience } from './database-retry.js';
import type { WorkerServices } from './services.js';

export interface OpenedCredential extends StoredCredential {
  readonly value: string;
}

export interface SshIdentity {
  readonly credential: SshCredential;
  readonly username: string | null;
}

/** Opens credentials for one lane or control step; they live in memory as long as it does, and nowhere else in clear. */
export class Secrets {
  readonly #services: WorkerServices;
  readonly #space: string;
  readonly #opened = new Map<string, Promise<OpenedCredential>>();
  readonly #forSsh = new Map<string, Promise<SshIdentity>>();

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

  /** @throws FettleError `credential-kind` where the credential is of another kind: a password must not leave as a token */
  async value(name: string, kind: 'password' | 'token'): Promise<string> {
    const opened = await this.open(name);
    if (opened.kind !== kind) throw wrongKind(opened, kind);
    return opened.value;
  }

  /** The same object for the same credential: the pool of connections knows it again without parsing the key once more. */
  forSsh(name: string): Promise<SshIdentity> {
    const known = this.#forSsh.get(name);
    if (known) return known;
    const identity = this.#makeIdentity(name);
    this.#forSsh.set(name, identity);
    identity.catch(() => this.#forSsh.delete(name));
    return identity;
  }

  async #makeIdentity(name: string): Promise<SshIdentity> {
    const opened = await this.open(name);
    if (opened.kind === 'token') throw wrongKind(opened, 'ssh-private-key or password');
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
      throw secretError({
        code: 'credential-missing',
        message: `There is no credential "${name}" in space "${this.#space}".`,
        remedy: `Store it with: fettle credential set ${name}`,
      });
    }
    return { ...stored, value: this.#unseal(stored) };
  }

  #unseal(stored: StoredCredential): string {
    const identity = { space: stored.space, name: stored.name, version: stored.version };
    try {
      return Buffer.from(this.#services.keyring.open(stored.sealed, identity)).toString('utf8');
    } catch (cause) {
      throw secretError({
        code: 'unseal-failed',
        message: `The credential "${stored.name}" cannot be opened with the sealing keys of this worker.`,
        remedy: `Restore the key file it was sealed with, or store it again: fettle credential set ${stored.name}`,
        cause,
      });
    }
  }
}

/** Without its secret nothing has been sent anywhere. */
function secretError(options: FettleErrorOptions): FettleError {
  return new FettleError({ ...options, detail: { mayHaveStarted: false } });
}

function wrongKind(opened: OpenedCredential, wanted: string): FettleError {
  return secretError({
    code: 'credential-kind',
    message: `The credential "${opened.name}" is of kind ${opened.kind}; this needs ${wanted}.`,
    remedy: 'Name another credential, or store one of that kind with `fettle credential set`.',
  });
}
