import { documentKinds, type DocumentKind } from '@fettle/contracts';
import { Argument, Option, type Command } from 'commander';
import { collect, outputOption, withApi, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { exportDocuments, listDocuments, listVersions, showDocument } from './read-documents.js';

export const kindNames = Object.keys(documentKinds) as DocumentKind[];

/** `validate`, `apply`, `diff` and `export` treat all kinds alike, so they stand at the top. */
export function addDocumentCommands(program: Command, session: Session): void {
  program
    .command('validate')
    .description('check documents offline: file:line:column, the offending text, what was probably meant')
    .addOption(fileOption())
    .addOption(outputOption())
    .action(session.later(async () => (await import('./validate-documents.js')).validateFiles));
  program
    .command('schema')
    .description('print the JSON Schema of documents, for editors')
    .action(session.later(async () => (await import('./print-schema.js')).printSchema));
  withApi(program.command('apply'))
    .description('store documents: all of them or none; versions are immutable')
    .addOption(fileOption())
    .option('--dry-run', 'write nothing, only say what would happen')
    .action(session.later(async () => (await import('./apply-documents.js')).applyFiles));
  withApi(program.command('diff'))
    .description('show what apply would change')
    .addOption(fileOption())
    .action(session.later(async () => (await import('./apply-documents.js')).diffFiles));
  withSpace(program.command('export'))
    .description('print the stored documents as YAML that can be applied again')
    .addOption(new Option('--kind <kind>', 'only this kind').choices(kindNames))
    .option('--name <name>', 'only this name')
    .action(session.act(exportDocuments));
  addDocumentNoun(program, session);
}

function addDocumentNoun(program: Command, session: Session): void {
  const document = program.command('document').description('see the stored documents and their versions');
  withSpace(document.command('list'))
    .alias('ls')
    .description('list documents')
    .addOption(new Option('--kind <kind>', 'only this kind').choices(kindNames))
    .action(session.act(listDocuments));
  withSpace(document.command('show'))
    .description('print the source of a document')
    .addArgument(new Argument('<kind>').choices(kindNames))
    .argument('<name>')
    .option('--document-version <version>', 'number or digest; default: the current one')
    .action(session.act(showDocument));
  withSpace(document.command('versions'))
    .description('list the versions of a document, newest first')
    .addArgument(new Argument('<kind>').choices(kindNames))
    .argument('<name>')
    .action(session.act(listVersions));
}

function fileOption(): Option {
  return new Option('-f, --file <file>', 'file, folder, or "-" for standard input (repeatable)')
    .argParser(collect)
    .makeOptionMandatory();
}
