import { FettleError, type FettleErrorOptions } from '@fettle/contracts';
import { findAssetRow, findCredential, type AssetRow, type StoredCredential } from '@fettle/database';
import type { SshCredential } from '@fettle/drivers';
import { RedactionSet, type DeclaredSecret } from '@fettle/security';
import type { ActionEnd, GatheredFacts, SecretKind } from '../implementation.js';
import { withDatabasePatience } from './database-retry.js';
import { maskedError } from './judge-error.js';
import type { WorkerServices } from './services.js';

export interface OpenedCredential extends StoredCredential {
  readonly value: string;
}

export interface SshIdentity {
  readonly credential: SshCredential;
  readonly username: string | null;
}

/** What of an asset matters where it is a jump host. */
export type JumpHost = Pick<AssetRow, 'name' | 'lifecycle' | 'quarantineReason' | 'endpoint'>;

/** A set takes up to a few megabytes of tables. */
const MAX_REDACTION_SETS = 32;

/** Opens credentials for one lane or control step; they live in memory as long as it does, and nowhere else in clear. */
export class Secrets {
  readonly #services: WorkerServices;
  readonly #space: string;
  readonly #opened = new Map<string, Promise<OpenedCredential>>();
  readonly #forSsh = new Map<string, Promise<SshIdentity>>();
  readonly #jumpHosts = new Map<string, Promise<JumpHost | null>>();
  /** By the names of the credentials: attempts of a lane mostly open the same ones. */
  readonly #redactions = new Map<string, RedactionSet>();

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
  async value(name: string, kinds: readonly SecretKind[]): Promise<string> {
    const opened = await this.open(name);
    if (!(kinds as readonly string[]).includes(opened.kind)) throw wrongKind(opened, kinds.join(' or '));
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

  /** An asset as a jump host, read once for as long as the credentials are kept. */
  jumpHost(name: string): Promise<JumpHost | null> {
    const known = this.#jumpHosts.get(name);
    if (known) return known;
    const found = withDatabasePatience(() => findAssetRow(this.#services.dataSource.manager, this.#space, name));
    this.#jumpHosts.set(name, found);
    found.catch(() => this.#jumpHosts.delete(name));
    return found;
  }

  /** What one attempt opens, and masks in all that it leaves behind. */
  forAttempt(): AttemptSecrets {
    return new AttemptSecrets(this);
  }

  /** What masks these credentials; made once for each combination of them. */
  redactionsOf(opened: ReadonlyMap<string, OpenedCredential>): RedactionSet {
    const key = [...opened.keys()].sort().join(' ');
    const known = this.#redactions.get(key);
    if (known) return known;
    const made = new RedactionSet([...opened.values()].map(declared));
    const [oldest] = this.#redactions.keys();
    if (this.#redactions.size >= MAX_REDACTION_SETS && oldest !== undefined) this.#redactions.delete(oldest);
    this.#redactions.set(key, made);
    return made;
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

/** The credentials that one attempt opens. Whatever the attempt writes anywhere goes through its masks. */
export class AttemptSecrets {
  readonly #secrets: Secrets;
  readonly #opened = new Map<string, OpenedCredential>();
  #redactions = nothingToMask;

  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  /** What masks all that was opened so far; the same object until more is opened. */
  get redactions(): RedactionSet {
    return this.#redactions;
  }

  /** @throws FettleError as `Secrets.value` */
  async value(name: string, kinds: readonly SecretKind[]): Promise<string> {
    await this.#open(name);
    return this.#secrets.value(name, kinds);
  }

  /**
   * Masks the values of these credentials from here on, whoever prints them. One that cannot be opened has no value to look for;
   * the step that needs it says so.
   */
  async declare(names: readonly string[]): Promise<void> {
    for (const name of names) {
      try {
        await this.#open(name);
      } catch (error) {
        if (!(error instanceof FettleError)) throw error;
      }
    }
  }

  jumpHost(name: string): Promise<JumpHost | null> {
    return this.#secrets.jumpHost(name);
  }

  async forSsh(name: string): Promise<SshIdentity> {
    await this.#open(name);
    return this.#secrets.forSsh(name);
  }

  /** For a text; an own property, so that it can be handed on by itself. */
  readonly mask = (text: string): string => this.#redactions.redactText(text);

  /** What an action gives back, as it may be stored: a state or a code is not data, whatever a password is called. */
  maskedEnd<Output>(end: ActionEnd<Output>): ActionEnd<Output> {
    // Strings stay strings, and all else keeps its shape.
    return {
      ...end,
      error: end.error && maskedError(end.error, this.mask),
      output: this.#redactions.redactJson(end.output) as Output,
    };
  }

  /** Facts as they may be stored. An identifier that holds a secret is left out: masked, it would be the same on every host. */
  maskedFacts({ facts, identifiers }: GatheredFacts): GatheredFacts {
    return {
      facts: this.#redactions.redactJson(facts) as GatheredFacts['facts'],
      identifiers: identifiers.filter(({ value }) => this.mask(value) === value),
    };
  }

  async #open(name: string): Promise<void> {
    if (this.#opened.has(name)) return;
    this.#opened.set(name, await this.#secrets.open(name));
    this.#redactions = this.#secrets.redactionsOf(this.#opened);
  }
}

const nothingToMask = new RedactionSet([]);

/** A token or password is looked for in all spellings that programs print; a key by its lines. */
function declared({ name, kind, value }: OpenedCredential): DeclaredSecret {
  return { name, value, form: kind === 'ssh-private-key' ? 'private-key' : 'value' };
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
