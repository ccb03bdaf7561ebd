import { assetKinds, criticalities, lifecycleStates } from '@fettle/contracts';
import { Option, type Command } from 'commander';
import { collect, limitOption, parsePort, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { enrolAsset } from './enrol-asset.js';
import { listAssets } from './list-assets.js';
import { clearableFields, retireAsset, setAsset } from './set-asset.js';
import { showAsset } from './show-asset.js';

export function addAssetCommands(program: Command, session: Session): void {
  const asset = program.command('asset').description('the inventory: what there is, and how to reach it');
  withSpace(asset.command('list'))
    .alias('ls')
    .description('list assets by name')
    .option('--on <selector>', 'only those selected, e.g. \'asset.kind == "server"\'')
    .option('--retired', 'retired ones too')
    .option('--undetermined', 'say for how many --on is neither true nor false; unasked where nothing matches')
    .addOption(limitOption('at most so many'))
    .action(session.act(listAssets));
  withSpace(asset.command('show')).description('show an asset').argument('<name>').action(session.act(showAsset));
  addSet(asset, session);
  withSpace(asset.command('retire'))
    .description('retire an asset: it stays known and is no target any more')
    .argument('<name>')
    .option('--reason <text>', 'why, for the audit log')
    .action(session.act(retireAsset));
  withSpace(asset.command('enrol'))
    .alias('enroll')
    .description("pin the host's key; lifts a quarantine")
    .argument('<name>')
    .option(
      '--expect <fingerprint>',
      'SHA256:... that the host must show; where another key is pinned, it takes its place',
    )
    .option('--replace', 'pin what the host shows now in place of what is pinned; needs --reason')
    .option('--reason <text>', 'why, for the audit log')
    .action(session.act(enrolAsset));
  withSpace(asset.command('import'))
    .description('create and change assets from a file: all rows or none; never retires')
    .argument('<file>', 'CSV file ("-": standard input), or Ansible inventory file or folder')
    .addOption(new Option('--format <format>').choices(['csv', 'ansible']).makeOptionMandatory())
    .option('--dry-run', 'write nothing, only say what would happen')
    .action(session.later(async () => (await import('./import-assets.js')).importAssets));
}

function addSet(asset: Command, session: Session): void {
  withSpace(asset.command('set'))
    .description('create an asset, or change what is given')
    .argument('<name>')
    .addOption(new Option('--kind <kind>').choices(assetKinds))
    .option('--site <text>')
    .option('--owner <text>')
    .addOption(new Option('--criticality <level>').choices(criticalities))
    .addOption(new Option('--lifecycle <state>').choices(lifecycleStates))
    .option('--label <key=value>', 'set a label (repeatable)', collect)
    .option('--remove-label <key>', 'remove a label (repeatable)', collect)
    .option('--address <host>', 'host name or IP address for SSH')
    .addOption(new Option('--port <n>', 'port for SSH').argParser(parsePort))
    .option('--user <name>', 'user to sign in as')
    .option('--credential <name>', 'credential to sign in with')
    .option('--host-key <key>', 'pin this key: "type base64" (repeatable); `enrol` asks the host instead', collect)
    .option('--jump <asset>', 'reach it through this asset, by a forwarded SSH connection')
    .option('--relate <type=asset>', 'relate it to another asset, e.g. runs-on=vmhost-01 (repeatable)', collect)
    .option('--unrelate <type=asset>', 'take a relation away (repeatable)', collect)
    .addOption(
      new Option('--clear <field>', 'clear a field (repeatable)').choices(clearableFields).argParser(clearField),
    )
    .option('--lift-quarantine', 'trust the asset again; needs --reason')
    .option('--reason <text>', 'why, for the audit log')
    .action(session.act(setAsset));
}

function clearField(value: string, previous: readonly string[] | undefined): string[] {
  return collect(value, previous);
}
