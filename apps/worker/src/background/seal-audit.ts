import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sealBatch } from '@fettle/operations';
import { signCheckpoint, type NoteSigner } from '@fettle/security';
import { idleRound, type BackgroundTask } from './run-loop.js';

const BATCH = 1000;

/** Where checkpoints are kept outside the database, so that a truncated log cannot hide it. */
export function checkpointFile(dataDir: string): string {
  return join(dataDir, 'audit', 'checkpoints.log');
}

/**
 * Gives audit records their positions and signs the tree. The checkpoint goes to the file once the batch is committed: one
 * that never came to be must not stand there, and one that a crash kept from it is covered by the next.
 */
export function sealAudit(signer: NoteSigner, dataDir: string): BackgroundTask {
  const file = checkpointFile(dataDir);
  return {
    name: 'seal-audit',
    intervalMs: 500,
    async round(transaction) {
      const batch = await sealBatch(transaction, { limit: BATCH, sign: (tree) => signCheckpoint(signer, tree) });
      const { note } = batch;
      if (note === null) return idleRound;
      const afterCommit = async (): Promise<void> => {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        const handle = await open(file, 'a', 0o600);
        try {
          // Two newlines before each: one that a crash tore costs none but itself.
          await handle.appendFile(`\n\n${note}`);
          await handle.sync();
        } finally {
          await handle.close();
        }
      };
      return { more: batch.isFull, afterCommit };
    },
  };
}
