import { Option, type Command } from 'commander';
import { collect, outputOption } from '../../session/options.js';
import type { Session } from '../../session/session.js';

export function addLintCommand(program: Command, session: Session): void {
  program
    .command('lint')
    .description('look for what is valid in runbooks and deserves a second look, offline')
    .addOption(
      new Option('-f, --file <file>', 'file, folder, or "-" for standard input (repeatable)').argParser(collect),
    )
    .option('--strict', 'end with exit code 1 for warnings, too')
    .option('--explain [code]', 'what a finding means and how to mend it; without a code: all of them')
    .addOption(outputOption())
    .action(session.later(async () => (await import('./lint-files.js')).lintFiles));
}
