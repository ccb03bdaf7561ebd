// The supervisor behind `fettle up --detach`: up-process.js OPTIONS-AS-JSON. Its output goes to a log file.
import { upCommand, type UpOptions } from './up-command.js';

const options = JSON.parse(process.argv[2] ?? '{}') as UpOptions;
process.exit(await upCommand(options, { stdout: process.stdout, stderr: process.stderr }));
