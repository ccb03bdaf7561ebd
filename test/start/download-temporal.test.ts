import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';

const script = fileURLToPath(new URL('../../apps/cli/dist/up/download-temporal.js', import.meta.url));

it("asks the SDK's bridge for the server in a way that the bridge takes: only the network may refuse", async () => {
  const folder = await mkdtemp('/tmp/fettle-download-');
  try {
    // Nothing listens there, so that this test never downloads anything, wherever it runs.
    const nowhere = 'http://127.0.0.1:9';
    const env = { ...process.env, HTTPS_PROXY: nowhere, https_proxy: nowhere, ALL_PROXY: nowhere };
    const answer = await new Promise<{ code: unknown; stderr: string }>((resolve) =>
      execFile(process.execPath, [script, join(folder, 'cli'), 'v1.5.1'], { env }, (error, _stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stderr }),
      ),
    );
    expect(answer.stderr).toMatch(/failed to download/);
    expect(answer.code).toBe(1);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
