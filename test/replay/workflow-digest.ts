import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = realpathSync(fileURLToPath(new URL('../../', import.meta.url)));

/** The workflows that workers execute, and the module of each: what is recorded and replayed. */
export const workflowModules = {
  runRunbook: 'workflows/dist/run/run-runbook.workflow.js',
  enrolAsset: 'workflows/dist/asset/enrol-asset.workflow.js',
  settleSchedules: 'workflows/dist/schedule/settle-schedules.workflow.js',
  checkPlan: 'workflows/dist/plan/check-plan.workflow.js',
} as const;
export type WorkflowName = keyof typeof workflowModules;
export const workflowNames = Object.keys(workflowModules) as WorkflowName[];

/** What a workflow imports and what decides nothing of it: texts and statuses of errors, for instance. Replaying covers these as well. */
const withoutBehaviour: ReadonlySet<string> = new Set(['libs/contracts/dist/errors.js']);

export interface WorkflowCode {
  /** Over all that stands below. */
  readonly digest: string;
  /** Modules of this project, by path in the repository, each with a digest of its code without comments. */
  readonly modules: Readonly<Record<string, string>>;
  /** Packages from outside that these import, with their versions. */
  readonly packages: Readonly<Record<string, string>>;
}

/** Name in the importing module; `*`: all of them. */
interface Import {
  readonly from: string;
  readonly names: readonly string[] | '*';
}

/** `export ... from`; under which names, in the order of `names`. */
interface PassedOn extends Import {
  readonly as: readonly string[] | '*';
}

interface Module {
  /** Without comments. */
  readonly code: string;
  readonly exports: ReadonlySet<string>;
  readonly imports: readonly Import[];
  /** What it passes on from others, if it does nothing else: such a module has no behaviour of its own. */
  readonly passesOn: readonly PassedOn[] | null;
}

/**
 * The code that a workflow is made of: its module and what that imports, followed through modules that only pass names on, so that a
 * new endpoint or a comment changes nothing here, and any other line of the workflow, the engine or the expressions does.
 */
export function workflowCode(workflow: WorkflowName): WorkflowCode {
  const modules = new Map<string, string>();
  const packages = new Map<string, string>();
  const parsed = new Map<string, Module>();
  const read = (path: string): Module => {
    const known = parsed.get(path) ?? parseModule(readFileSync(path, 'utf8'));
    parsed.set(path, known);
    return known;
  };
  const open: { readonly importer: string; readonly wanted: Import }[] = [];
  const enter = (path: string): void => {
    const name = relative(root, path);
    if (modules.has(name) || withoutBehaviour.has(name)) return;
    const { code, imports } = read(path);
    modules.set(name, sha256(code));
    for (const wanted of imports) open.push({ importer: path, wanted });
  };
  const follow = (importer: string, wanted: Import): void => {
    const path = resolveModule(importer, wanted.from);
    if (path === null) return void packages.set(packageName(wanted.from), versionOf(packageName(wanted.from)));
    const { passesOn } = read(path);
    if (passesOn === null) return enter(path);
    for (const passed of passesOn) {
      const names = passed.as === '*' ? among(path, passed, wanted.names) : renamed(wanted.names, passed);
      if (names === '*' || names.length > 0) open.push({ importer: path, wanted: { from: passed.from, names } });
    }
  };
  /** Those of the names that are exported there, where `export *` says all. */
  const among = (importer: string, { from }: Import, names: Import['names']): Import['names'] => {
    const path = resolveModule(importer, from);
    return names === '*' || path === null ? names : names.filter((name) => provides(path, name));
  };
  const provides = (path: string, name: string): boolean => {
    const { exports, passesOn } = read(path);
    if (exports.has(name)) return true;
    return (passesOn ?? []).some(({ from, as }) => {
      const next = as === '*' ? resolveModule(path, from) : null;
      return next !== null && provides(next, name);
    });
  };
  enter(join(root, workflowModules[workflow]));
  for (let next = open.pop(); next !== undefined; next = open.pop()) follow(next.importer, next.wanted);
  const sorted = { modules: sortedObject(modules), packages: sortedObject(packages) };
  return { digest: sha256(JSON.stringify(sorted)), ...sorted };
}

/** What those names are called in the module that they come from. */
function renamed(wanted: Import['names'], { names, as }: PassedOn): Import['names'] {
  if (wanted === '*' || names === '*' || as === '*') return names;
  return as.flatMap((name, index) => (wanted.includes(name) ? [names[index]!] : []));
}

function parseModule(source: string): Module {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext, removeComments: true },
  });
  const file = ts.createSourceFile('module.js', outputText, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const imports: Import[] = [];
  const passed: PassedOn[] = [];
  const exports = new Set<string>();
  let passesOnOnly = true;
  for (const statement of file.statements) {
    if (ts.isImportDeclaration(statement)) {
      imports.push({ from: textOf(statement.moduleSpecifier), names: importedNames(statement) });
      passesOnOnly = false;
    } else if (ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined) {
      const clause = statement.exportClause;
      const from = textOf(statement.moduleSpecifier);
      if (clause !== undefined && ts.isNamedExports(clause)) {
        const names = clause.elements.map((element) => (element.propertyName ?? element.name).text);
        passed.push({ from, names, as: clause.elements.map((element) => element.name.text) });
        for (const element of clause.elements) exports.add(element.name.text);
      } else passed.push({ from, names: '*', as: '*' });
    } else {
      passesOnOnly = false;
      for (const name of declaredExports(statement)) exports.add(name);
    }
  }
  const isBarrel = passesOnOnly && passed.length > 0;
  const passesOn = isBarrel ? passed : null;
  return { code: outputText, exports, imports: isBarrel ? [] : [...imports, ...passed], passesOn };
}

function declaredExports(statement: ts.Statement): string[] {
  if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
    return statement.exportClause.elements.map((element) => element.name.text);
  }
  const isExported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(isExportKeyword) === true;
  if (!isExported) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((declaration) => declaration.name.getText());
  }
  const isNamed = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

const isExportKeyword = ({ kind }: ts.ModifierLike): boolean => kind === ts.SyntaxKind.ExportKeyword;

function importedNames(statement: ts.ImportDeclaration): Import['names'] {
  const bindings = statement.importClause?.namedBindings;
  if (statement.importClause?.name !== undefined || bindings === undefined || !ts.isNamedImports(bindings)) return '*';
  return bindings.elements.map((element) => (element.propertyName ?? element.name).text);
}

const textOf = (node: ts.Expression): string => (node as ts.StringLiteral).text;

/** Null: a package from outside. */
function resolveModule(importer: string, from: string): string | null {
  if (from.startsWith('.')) return join(dirname(importer), from);
  if (!from.startsWith('@fettle/')) return null;
  const [, room, ...rest] = from.split('/');
  const folder = realpathSync(join(root, 'node_modules/@fettle', room!));
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string }>;
  };
  return join(folder, exports[rest.length === 0 ? '.' : `./${rest.join('/')}`]!.default);
}

function packageName(from: string): string {
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/');
}

function versionOf(name: string): string {
  const file = join(root, 'node_modules', name, 'package.json');
  if (!existsSync(file)) throw new Error(`package ${name} is not in node_modules`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function sortedObject(map: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
