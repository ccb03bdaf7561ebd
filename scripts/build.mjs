// `npm run build`: installs what is missing, compiles what is stale.
import { isBuilt, isInstalled, say, setUp, StageError } from './stages.mjs';

try {
  if (isInstalled() && isBuilt()) say('everything is built already');
  else {
    await setUp();
    say('built');
  }
} catch (error) {
  process.stderr.write(`${error instanceof StageError ? error.message : (error?.stack ?? error)}\n`);
  process.exitCode = 1;
}
