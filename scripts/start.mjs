// `npm start`: makes sure that everything is installed and built, then is `fettle up` (same process, same arguments).
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkDisk, checkNode, checkNpm, checkPort } from '../apps/cli/preflight.mjs';
import { isAlive, isBuilt, isInstalled, readJson, root, say, setUp, StageError } from './stages.mjs';

const args = process.argv.slice(2);

try {
  stopUnless([checkNode()]);
  // A running stack must not have its programs rebuilt under it: `fettle up` will say that it runs.
  if (!isRunning() && !(isInstalled() && isBuilt())) {
    const port = Number(option('--port') ?? (process.env.FETTLE_PORT || 7070));
    stopUnless([checkNpm(), checkDisk(root, 'install'), await checkPort(port, process.env.FETTLE_HOST || '127.0.0.1')]);
    await setUp();
    say('installed and built');
  }
  const program = join(root, 'apps/cli/bin/fettle.mjs');
  process.argv = [process.argv[0], program, 'up', ...args];
  await import(pathToFileURL(program).href);
} catch (error) {
  process.stderr.write(`fettle: ${error instanceof StageError ? error.message : (error?.stack ?? error)}\n`);
  process.exitCode = 1;
}

function stopUnless(results) {
  const failed = results.filter(({ ok }) => !ok);
  if (failed.length > 0) throw new StageError(failed.map(({ detail, remedy }) => `${detail}. ${remedy}`).join('\n'));
}

function isRunning() {
  const dataDir = resolve(option('--data-dir') ?? (process.env.FETTLE_DATA_DIR || join(root, '.fettle')));
  const holder = readJson(join(dataDir, 'lock'));
  return Number.isInteger(holder?.pid) && isAlive(holder.pid);
}

/** Only for the checks before the real option parser exists. */
function option(name) {
  const index = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
  if (index < 0) return undefined;
  return args[index].includes('=') ? args[index].slice(name.length + 1) : args[index + 1];
}
