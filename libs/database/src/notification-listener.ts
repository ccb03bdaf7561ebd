import pg from 'pg';

export interface ListenerSettings {
  readonly url: string;
  readonly channel: string;
  readonly applicationName: string;
  readonly onNotification: (payload: string) => void;
  /** The connection was lost or made again: whatever was notified in between is not known, so look everywhere. */
  readonly onGap: () => void;
  /** For the log; the listener goes on by itself. */
  readonly onError: (error: unknown) => void;
}

const firstRetryMs = 200;
const maxRetryMs = 5000;

/**
 * One connection that listens on one channel and comes back by itself. NOTIFY is a hint that saves time, never the only way to
 * learn of something: readers poll as well, slowly.
 */
export class NotificationListener {
  readonly #settings: ListenerSettings;
  #client: pg.Client | null = null;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = firstRetryMs;
  #isClosed = false;

  constructor(settings: ListenerSettings) {
    this.#settings = settings;
  }

  /** Begins to listen. Resolves when the first attempt is over, whether it succeeded or not. */
  async start(): Promise<void> {
    const { url, channel, applicationName, onNotification, onGap } = this.#settings;
    const client = new pg.Client({
      connectionString: url,
      application_name: applicationName,
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    });
    this.#client = client;
    client.on('notification', (message) => onNotification(message.payload ?? ''));
    client.on('error', (error) => this.#lost(client, error));
    client.on('end', () => this.#lost(client, null));
    try {
      await client.connect();
      await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
      this.#retryMs = firstRetryMs;
      onGap();
    } catch (error) {
      this.#lost(client, error);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#retry) clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => undefined);
  }

  #lost(client: pg.Client, error: unknown): void {
    // One loss is told by several events; only the first of the current client counts.
    if (this.#client !== client || this.#isClosed) return;
    this.#client = null;
    if (error) this.#settings.onError(error);
    client.end().catch(() => undefined);
    this.#retry = setTimeout(() => void this.start(), this.#retryMs);
    this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2);
  }
}
