import { Option, type Command } from 'commander';
import { parseName } from '../../session/options.js';
import type { Session } from '../../session/session.js';

export function addInventoryCommand(program: Command, session: Session): void {
  program
    .command('inventory')
    .description("print the assets as Ansible's dynamic inventory (JSON)")
    .option('--list', 'all hosts, groups and variables')
    .option('--host <name>', 'variables of one host')
    .option('--on <selector>', 'only the assets selected')
    .addOption(new Option('--data-dir <dir>', 'talk to the local stack of this data directory'))
    .addOption(new Option('--space <name>', 'space of the assets').default('default').argParser(parseName))
    .addHelpText(
      'after',
      `
As an inventory script for Ansible, an executable file with the lines
  #!/bin/sh
  exec fettle inventory "$@"`,
    )
    .action(session.later(async () => (await import('./print-inventory.js')).printInventory));
}
