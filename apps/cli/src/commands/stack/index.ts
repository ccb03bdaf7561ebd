import { Option, type Command } from 'commander';
import { outputOption, parseOwnPort } from '../../session/options.js';
import type { OutputFormat } from '../../output/output.js';
import type { Session } from '../../session/session.js';

interface DataDirOptions {
  readonly dataDir?: string;
}

interface UpOptions extends DataDirOptions {
  readonly port?: number;
  readonly host?: string;
  readonly demo: boolean;
  readonly detach?: boolean;
  readonly once?: boolean;
}

/** The local stack. Its code is loaded when it is asked for: other commands start without it. */
export function addStackCommands(program: Command, session: Session): void {
  program
    .command('up')
    .description('start the local stack and serve until Ctrl-C')
    .addOption(dataDirOption())
    .addOption(new Option('--port <n>', 'port of the API (default 7070; 0: any free one)').argParser(parseOwnPort))
    .option('--host <address>', 'address that the API listens on (default 127.0.0.1)')
    .option('--no-demo', 'without the demo estate')
    .option('--detach', 'return when it is ready, and leave it running')
    .option('--once', 'run the demo job, print its result, stop everything; exit 0 if it ended as it should')
    .action(
      session.act(async ({ host, output }, options: UpOptions) =>
        (await import('../../up/index.js')).upCommand(options, output, host.env),
      ),
    );
  program
    .command('down')
    .description('stop the local stack and keep its data')
    .addOption(dataDirOption())
    .action(
      session.act(async ({ host, output }, options: DataDirOptions) =>
        (await import('../../up/index.js')).downCommand(options, output, host.env),
      ),
    );
  program
    .command('status')
    .description('show whether the local stack runs')
    .addOption(dataDirOption())
    .addOption(outputOption())
    .action(
      session.act(async ({ host, output }, options: DataDirOptions & { readonly output: OutputFormat }) =>
        (await import('../../up/index.js')).statusCommand(options, output, host.env),
      ),
    );
  program
    .command('doctor')
    .description('check what a start needs and what runs')
    .addOption(dataDirOption())
    .addOption(new Option('--port <n>', 'port that the API shall have').argParser(parseOwnPort))
    .action(
      session.act(async ({ host, output }, options: DataDirOptions & { readonly port?: number }) =>
        (await import('../../up/index.js')).doctorCommand(options, output, host.env),
      ),
    );
}

function dataDirOption(): Option {
  return new Option('--data-dir <dir>', 'data directory (default: FETTLE_DATA_DIR, else .fettle in the checkout)');
}
