import { deleteSentCommands, markCommandFailed, markCommandsSent, readDueCommands } from '@fettle/database';
import { sendCommand, type TemporalClient } from '@fettle/temporal';
import type { Logger } from 'pino';
import type { BackgroundTask } from './run-loop.js';

const BATCH = 200;
const CONCURRENT_CALLS = 100;
const CLEAN_UP_EVERY_ROUNDS = 10_000;

/**
 * Sends what committed changes asked of Temporal. A command that was sent but not marked (the process died) is sent again, which
 * changes nothing.
 */
export function relayOutbox(temporal: TemporalClient, logger: Logger): BackgroundTask {
  let rounds = 0;
  return {
    name: 'relay-outbox',
    intervalMs: 500,
    async round(transaction) {
      rounds += 1;
      if (rounds % CLEAN_UP_EVERY_ROUNDS === 0) await deleteSentCommands(transaction);
      const commands = await readDueCommands(transaction, BATCH);
      const sent: number[] = [];
      const failed: { id: number; message: string }[] = [];
      const queue = [...commands];
      const sender = async (): Promise<void> => {
        for (let command = queue.shift(); command !== undefined; command = queue.shift()) {
          try {
            await sendCommand(temporal, command);
            sent.push(command.id);
          } catch (error) {
            const message = error instanceof Error ? error.message : String(error);
            failed.push({ id: command.id, message });
            logger.warn(
              { err: error, kind: command.kind, subject: command.subject },
              'Temporal did not take a command',
            );
          }
        }
      };
      await Promise.all(Array.from({ length: Math.min(CONCURRENT_CALLS, commands.length) }, sender));
      if (sent.length > 0) await markCommandsSent(transaction, sent);
      for (const { id, message } of failed) await markCommandFailed(transaction, id, message);
      return { more: sent.length > 0 };
    },
  };
}
