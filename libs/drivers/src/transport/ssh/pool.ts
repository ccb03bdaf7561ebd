import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { prepareCredential, SshConnection, type ConnectionOptions, type PreparedCredential } from './connection.js';
import { cancelledError, sshError } from './errors.js';
import { parsePinnedKeys, type PinnedKey } from './host-keys.js';
import type { SshCredential, SshEndpoint } from './types.js';

export interface ConnectionPoolOptions extends ConnectionOptions {
  /** Over all hosts. */
  readonly maxConnections: number;
  readonly maxConnectionsPerTarget: number;
  /** Sessions at once on one connection; a host that allows fewer teaches the pool so. */
  readonly channelsPerConnection: number;
  /** How long an unused connection is kept. */
  readonly idleMs: number;
  /** How long a command may wait for a free session. */
  readonly queueTimeoutMs: number;
}

/** A place for one session on a connection that is ready. */
export interface Lease {
  readonly connection: SshConnection;
  /** The host refused a session: it allows no more on this connection than are open now. */
  refused(): void;
  /** Must be called once, when the session is closed. */
  release(): void;
  /** Whether other sessions use the connection now. */
  readonly shared: boolean;
}

interface Slot {
  readonly connection: SshConnection;
  inUse: number;
  limit: number;
  idleTimer: NodeJS.Timeout | undefined;
  /** Told to end; its place is free already. */
  retired: boolean;
}

interface Waiter {
  readonly give: (slot: Slot) => void;
  readonly fail: (error: Error) => void;
}

interface Target {
  readonly endpoint: SshEndpoint;
  readonly credential: PreparedCredential;
  readonly pinned: readonly PinnedKey[];
  readonly slots: Set<Slot>;
  readonly waiters: Set<Waiter>;
}

/** Digests of credentials by object: hosts share a credential, and each command asks for its digest. */
const digests = new WeakMap<SshCredential, string>();

function credentialDigest(credential: SshCredential): string {
  let digest = digests.get(credential);
  if (digest === undefined) {
    digest = createHash('sha256').update(JSON.stringify(credential)).digest('base64');
    digests.set(credential, digest);
  }
  return digest;
}

/** The secret is part of the key as a digest only; pins are part of it so that a change of pins never reuses a connection. */
function targetKey(endpoint: SshEndpoint, credential: SshCredential): string {
  const { host, port, user, hostKeys, jump } = endpoint;
  // The same address behind another jump host is another host.
  const path = jump === undefined ? [] : ['via', targetKey(jump.endpoint, jump.credential)];
  return [host, port, user, credentialDigest(credential), ...hostKeys, ...path].join('\n');
}

/** Connections by endpoint, user and credential, with limits on all of them. */
export class ConnectionPool {
  private readonly targets = new Map<string, Target>();
  private connections = 0;
  private isClosed = false;

  constructor(
    private readonly options: ConnectionPoolOptions,
    /** A socket to an endpoint that is not reached directly. */
    private readonly dial: (endpoint: SshEndpoint) => Duplex | undefined = () => undefined,
  ) {}

  /** Open and opening connections. */
  get size(): number {
    return this.connections;
  }

  /**
   * Gives a place for a session, connecting if needed. Concurrent first uses of a host share one attempt.
   * @throws FettleError of the connection attempt, `connection-limit` or `cancelled`; the command was never sent
   */
  async acquire(endpoint: SshEndpoint, credential: SshCredential, signal: AbortSignal): Promise<Lease> {
    if (signal.aborted) throw cancelledError(endpoint, false);
    if (this.isClosed) throw this.closedError(endpoint);
    const key = targetKey(endpoint, credential);
    let target = this.targets.get(key);
    if (target === undefined) {
      target = {
        endpoint,
        credential: prepareCredential(endpoint, credential),
        pinned: parsePinnedKeys(endpoint),
        slots: new Set(),
        waiters: new Set(),
      };
      this.targets.set(key, target);
    }
    const slot = this.takeSlot(key, target) ?? (await this.waitForSlot(key, target, signal));
    try {
      await this.untilReady(slot, endpoint, signal);
    } catch (error) {
      this.release(key, target, slot);
      throw error;
    }
    return this.lease(key, target, slot);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const closing: Promise<void>[] = [];
    for (const target of this.targets.values()) {
      for (const waiter of target.waiters) waiter.fail(this.closedError(target.endpoint));
      for (const slot of target.slots) {
        closing.push(slot.connection.closed);
        this.retire(slot);
      }
    }
    await Promise.all(closing);
  }

  private lease(key: string, target: Target, slot: Slot): Lease {
    let released = false;
    return {
      connection: slot.connection,
      refused: () => (slot.limit = Math.max(0, slot.inUse - 1)),
      release: () => {
        if (released) return;
        released = true;
        this.release(key, target, slot);
      },
      get shared() {
        return slot.inUse > 1;
      },
    };
  }

  private async untilReady(slot: Slot, endpoint: SshEndpoint, signal: AbortSignal): Promise<void> {
    if (slot.connection.isReady) return;
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(cancelledError(endpoint, false));
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      await Promise.race([slot.connection.ready, aborted]);
    } finally {
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
    }
  }

  private takeSlot(key: string, target: Target): Slot | undefined {
    let best: Slot | undefined;
    for (const slot of target.slots) {
      if (slot.retired || slot.connection.isClosed || slot.inUse >= slot.limit) continue;
      // The fullest first, so that surplus connections fall idle and go.
      if (best === undefined || slot.inUse > best.inUse) best = slot;
    }
    best ??= this.openSlot(key, target);
    if (best === undefined) return undefined;
    clearTimeout(best.idleTimer);
    best.inUse += 1;
    return best;
  }

  private openSlot(key: string, target: Target): Slot | undefined {
    if (this.isClosed || target.slots.size >= this.options.maxConnectionsPerTarget) return undefined;
    if (this.connections >= this.options.maxConnections && !this.evictIdle()) return undefined;
    const slot: Slot = {
      connection: new SshConnection(
        target.endpoint,
        target.credential,
        target.pinned,
        this.options,
        this.dial(target.endpoint),
      ),
      inUse: 0,
      limit: this.options.channelsPerConnection,
      idleTimer: undefined,
      retired: false,
    };
    this.connections += 1;
    target.slots.add(slot);
    void slot.connection.closed.then(() => {
      this.retire(slot);
      target.slots.delete(slot);
      this.serve(key, target);
      this.serveStarving();
      this.dropIfUnused(key, target);
    });
    return slot;
  }

  private async waitForSlot(key: string, target: Target, signal: AbortSignal): Promise<Slot> {
    const { endpoint } = target;
    let cleanUp = (): void => undefined;
    const waiting = new Promise<Slot>((resolve, reject) => {
      const fail = (error: Error): void => {
        cleanUp();
        reject(error);
      };
      const waiter: Waiter = { give: resolve, fail };
      target.waiters.add(waiter);
      const onAbort = (): void => fail(cancelledError(endpoint, false));
      const timer = setTimeout(() => fail(this.queueError(endpoint)), this.options.queueTimeoutMs);
      signal.addEventListener('abort', onAbort, { once: true });
      cleanUp = () => {
        target.waiters.delete(waiter);
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
    });
    try {
      return await waiting;
    } finally {
      cleanUp();
      this.dropIfUnused(key, target);
    }
  }

  private release(key: string, target: Target, slot: Slot): void {
    slot.inUse -= 1;
    this.serve(key, target);
    if (slot.inUse > 0 || slot.retired || slot.connection.isClosed) return;
    // Another host may wait for a connection at all: an idle one gives way at once.
    if (this.connections >= this.options.maxConnections && this.serveStarving()) return;
    slot.idleTimer = setTimeout(() => this.retire(slot), this.options.idleMs);
    slot.idleTimer.unref();
  }

  /** Counts a connection out, once, and ends it if it is still there. */
  private retire(slot: Slot): void {
    if (slot.retired) return;
    slot.retired = true;
    clearTimeout(slot.idleTimer);
    this.connections -= 1;
    slot.connection.end();
  }

  private serve(key: string, target: Target): void {
    for (const waiter of target.waiters) {
      const slot = this.takeSlot(key, target);
      if (slot === undefined) return;
      target.waiters.delete(waiter);
      waiter.give(slot);
    }
  }

  private serveStarving(): boolean {
    let served = false;
    for (const [key, target] of this.targets) {
      if (target.waiters.size === 0 || target.slots.size > 0) continue;
      if (this.connections >= this.options.maxConnections && this.findIdle() === undefined) return served;
      this.serve(key, target);
      served = true;
    }
    return served;
  }

  private findIdle(): Slot | undefined {
    for (const target of this.targets.values()) {
      for (const slot of target.slots) {
        if (slot.inUse === 0 && !slot.retired && slot.connection.isReady) return slot;
      }
    }
    return undefined;
  }

  private evictIdle(): boolean {
    const idle = this.findIdle();
    if (idle !== undefined) this.retire(idle);
    return idle !== undefined;
  }

  private dropIfUnused(key: string, target: Target): void {
    if (target.slots.size === 0 && target.waiters.size === 0 && this.targets.get(key) === target)
      this.targets.delete(key);
  }

  private queueError(endpoint: SshEndpoint): Error {
    return sshError(endpoint, {
      code: 'connection-limit',
      what: `no session became free within ${this.options.queueTimeoutMs} ms`,
      remedy: 'Run fewer commands at once on this host, or raise the limits of connections.',
      mayHaveStarted: false,
    });
  }

  private closedError(endpoint: SshEndpoint): Error {
    return sshError(endpoint, { code: 'cancelled', what: 'the connections are being closed', mayHaveStarted: false });
  }
}
