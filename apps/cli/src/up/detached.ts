import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { acquireLock, readRunningState } from './stack-state.js';
import { createDataDir, type DataDir } from './data-dir.js';
import { EXIT, type Output } from './output.js';
import { delay } from './process-identity.js';
import type { UpOptions } from './up-command.js';

const POLL_INTERVAL_MS = 100;

/** Starts the supervisor as a process of its own, shows its progress, and returns when the stack is ready. */
export async function upDetached(
  options: UpOptions,
  dataDir: DataDir,
  output: Output,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  createDataDir(dataDir);
  // Says at once, and in the foreground, when a stack runs already.
  acquireLock(dataDir).release();
  const logFile = join(dataDir.logs, 'supervisor.log');
  const log = openSync(logFile, 'a', 0o600);
  let shownBytes = statSync(logFile).size;
  const program = fileURLToPath(new URL('./up-process.js', import.meta.url));
  const childOptions: UpOptions = { ...options, dataDir: dataDir.path, detach: false, hideToken: true };
  const child = spawn(process.execPath, [program, JSON.stringify(childOptions)], {
    env,
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exitCode = new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code ?? EXIT.error));
    child.once('error', () => resolve(EXIT.error));
  });
  let ended: number | undefined;
  void exitCode.then((code) => (ended = code));
  for (;;) {
    const state = readRunningState(dataDir);
    const isReady = state?.supervisor.pid === child.pid && state?.phase === 'ready';
    shownBytes = copyNewText(logFile, shownBytes, output);
    if (ended !== undefined) return ended === EXIT.ok ? EXIT.error : ended;
    if (isReady) {
      child.unref();
      const token = readFileSync(dataDir.tokenFile, 'utf8').trim();
      output.stdout.write(`Fettle is up: ${state.url}\n  sign-in token  ${token}\n  stop           npx fettle down\n`);
      return EXIT.ok;
    }
    await delay(POLL_INTERVAL_MS);
  }
}

function copyNewText(file: string, fromBytes: number, output: Output): number {
  const sizeBytes = statSync(file).size;
  if (sizeBytes <= fromBytes) return fromBytes;
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(sizeBytes - fromBytes);
    const count = readSync(descriptor, buffer, 0, buffer.length, fromBytes);
    output.stderr.write(buffer.subarray(0, count).toString('utf8'));
    return fromBytes + count;
  } finally {
    closeSync(descriptor);
  }
}
