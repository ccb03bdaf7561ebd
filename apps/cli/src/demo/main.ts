import { parseArgs } from 'node:util';
import { FettleError } from '@fettle/contracts';
import { DemoEstate } from './estate.js';

/** `node main.js --data-dir DIR`: runs the demo estate until SIGTERM or SIGINT. One JSON line on stdout once all hosts listen. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { 'data-dir': { type: 'string' } } });
  const dataDir = values['data-dir'];
  if (dataDir === undefined) {
    process.stderr.write('usage: main.js --data-dir DIR\n');
    process.exitCode = 2;
    return;
  }
  const estate = await DemoEstate.start({ dataDir, say: (line) => void process.stderr.write(`${line}\n`) });
  const stop = (): void => {
    // Sessions are ended and files are small: a second is plenty, and a supervisor should not have to wait longer.
    setTimeout(() => process.exit(1), 1000).unref();
    estate.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.stdout.write(`${JSON.stringify({ msg: 'ready', hosts: estate.size, listening: estate.listening })}\n`);
}

main().catch((error: unknown) => {
  const text =
    error instanceof FettleError && error.remedy !== undefined ? `${error.message} ${error.remedy}` : String(error);
  process.stderr.write(`demo estate: ${text}\n`);
  process.exitCode = 1;
});
