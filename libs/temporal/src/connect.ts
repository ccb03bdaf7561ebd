import { Client, Connection } from '@temporalio/client';

export interface TemporalSettings {
  /** `host:port`. */
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
}

export interface TemporalClient {
  readonly client: Client;
  readonly taskQueue: string;
  readonly close: () => Promise<void>;
}

/** A lazy connection: it does not fail while Temporal is away, its calls do. */
export function connectTemporal(settings: TemporalSettings): TemporalClient {
  const connection = Connection.lazy({ address: settings.address, connectTimeout: '5 seconds' });
  return {
    client: new Client({ connection, namespace: settings.namespace }),
    taskQueue: settings.taskQueue,
    close: () => connection.close(),
  };
}
