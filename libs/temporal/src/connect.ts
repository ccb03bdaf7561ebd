import { Client, Connection, type ConnectionLike } from '@temporalio/client';

export interface TemporalSettings {
  /** `host:port`. */
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
}

export interface TemporalClient {
  readonly client: Client;
  readonly taskQueue: string;
  /**
   * The connection is that of a worker of the task queue in this process: what is started over it may be handed to that worker with the
   * answer, which spares Temporal the finding of one.
   */
  readonly startsEagerly: boolean;
  readonly close: () => Promise<void>;
}

/** A lazy connection: it does not fail while Temporal is away, its calls do. */
export function connectTemporal(settings: TemporalSettings): TemporalClient {
  const connection = Connection.lazy({ address: settings.address, connectTimeout: '5 seconds' });
  return {
    client: new Client({ connection, namespace: settings.namespace }),
    taskQueue: settings.taskQueue,
    startsEagerly: false,
    close: () => connection.close(),
  };
}

/** A client over the connection of a worker, whose owner closes it. */
export function shareConnection(
  connection: ConnectionLike,
  settings: Omit<TemporalSettings, 'address'> & Pick<TemporalClient, 'startsEagerly'>,
): TemporalClient {
  return {
    client: new Client({ connection, namespace: settings.namespace }),
    taskQueue: settings.taskQueue,
    startsEagerly: settings.startsEagerly,
    close: () => Promise.resolve(),
  };
}
