import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { testTemporal } from '../support/temporal.js';
import type { Outcome } from './evaluate-expression.workflow.js';

describe('expressions in the workflow sandbox', () => {
  it('parse, evaluate, match and render as anywhere else', async () => {
    const { address, namespace, taskQueue, idPrefix } = testTemporal();
    const connection = await NativeConnection.connect({ address });
    const clientConnection = await Connection.connect({ address });
    const workflowsPath = fileURLToPath(new URL('./evaluate-expression.workflow.ts', import.meta.url));
    try {
      const worker = await Worker.create({ connection, namespace, taskQueue, workflowsPath });
      const client = new Client({ connection: clientConnection, namespace });
      const outcome = await worker.runUntil(
        client.workflow.execute<(inputs: unknown) => Promise<Outcome>>('evaluateExpression', {
          taskQueue,
          workflowId: `${idPrefix}expression`,
          args: [{ n: 3, text: 'hello' }],
        }),
      );
      expect(outcome).toEqual({
        condition: 'unknown',
        rendered: { path: '/tmp/hello', n: 3 },
        error: expect.stringMatching(/unknown variable "inputz".*1:1/),
      });
    } finally {
      await clientConnection.close();
      await connection.close();
    }
  }, 60_000);
});
