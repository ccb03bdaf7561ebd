import { rmSync } from 'node:fs';
import { resolveDataDir } from './data-dir.js';
import { EXIT, printError, type Output } from './output.js';
import { delay, isStillRunning } from './process-identity.js';
import { endOrphans, readState } from './stack-state.js';

export interface DownOptions {
  readonly dataDir?: string | undefined;
}

/** Longer than all children's own limits together. */
const STOP_TIMEOUT_MS = 180_000;

/** `fettle down`: stops the local stack and keeps its data. @returns 0 when nothing runs any more, 1 on failure. */
export async function downCommand(
  options: DownOptions,
  output: Output,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const dataDir = resolveDataDir(options.dataDir, env);
  const state = readState(dataDir);
  if (state === undefined) {
    output.stderr.write(`Fettle does not run on ${dataDir.path}: nothing to stop.\n`);
    return EXIT.ok;
  }
  try {
    if (isStillRunning(state.supervisor)) {
      process.kill(state.supervisor.pid, 'SIGTERM');
      const deadline = Date.now() + STOP_TIMEOUT_MS;
      while (isStillRunning(state.supervisor)) {
        if (Date.now() > deadline) throw new Error(`process ${state.supervisor.pid} does not stop`);
        await delay(100);
      }
    }
    // What a supervisor that was killed left running.
    await endOrphans(dataDir, (line) => output.stderr.write(`${line}\n`));
    rmSync(dataDir.stateFile, { force: true });
  } catch (error) {
    printError(output, error);
    return EXIT.error;
  }
  output.stderr.write(`Fettle is stopped; its data is kept in ${dataDir.path}.\n`);
  return EXIT.ok;
}
