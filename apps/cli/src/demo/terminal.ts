import {
  parse,
  serialize,
  type CommandNode,
  type PipelineNode,
  type ScriptNode,
  type StatementNode,
  type WordNode,
} from 'just-bash';

/** Paths at which a shell's file system view passes bytes on to the SSH channel. */
export const TERMINAL_STDOUT = '/dev/fettle/stdout';
export const TERMINAL_STDERR = '/dev/fettle/stderr';
/** Runs its arguments with output straight to the channel and stdin straight from it. */
export const TERMINAL_COMMAND = '__terminal';
/** Runs its argument, a script, beside the one that calls it. */
export const BACKGROUND_COMMAND = '__background';
/** `wait` for what `__background` started. */
export const WAIT_COMMAND = '__wait';
/** The variable that stands for `$!`. */
export const BACKGROUND_PID = 'fettle_background_pid';
/** Runs its arguments with stdin from the channel; its output goes where the shell sends it. */
export const STDIN_COMMAND = '__stdin';

type SimpleCommand = Extract<CommandNode, { type: 'SimpleCommand' }>;

function word(value: string): WordNode {
  return { type: 'Word', parts: [{ type: 'Literal', value }] };
}

/** Text of a word without any expansion, or undefined if only a running shell knows. */
function literal(node: WordNode | null | undefined): string | undefined {
  if (!node) return undefined;
  let text = '';
  for (const part of node.parts) {
    if (part.type === 'Literal' || part.type === 'SingleQuoted' || part.type === 'Escaped') text += part.value;
    else if (part.type === 'DoubleQuoted' && part.parts.every((inner) => inner.type === 'Literal')) {
      text += part.parts.map((inner) => (inner.type === 'Literal' ? inner.value : '')).join('');
    } else return undefined;
  }
  return text;
}

/** Commands that start another command, which may be a shell whose output should be seen while it runs. */
const launchers = new Set(['sh', 'bash', 'dash', 'sudo', 'env', 'setsid', 'nohup', 'nice', 'ionice', 'stdbuf']);
/** Read stdin unless an operand names a file; the value counts operands that are no files (a pattern, a program). */
const stdinReaders: Readonly<Record<string, number>> = {
  cat: 0, head: 0, tail: 0, wc: 0, sort: 0, uniq: 0, nl: 0, tac: 0, rev: 0, od: 0, base64: 0, md5sum: 0, sha1sum: 0,
  sha256sum: 0, gzip: 0, gunzip: 0, zcat: 0, tee: 99, xargs: 99, tr: 99, tar: 99, dd: 99, cut: 0, grep: 1, egrep: 1,
  fgrep: 1, sed: 1, awk: 1, jq: 1, paste: 0, fold: 0, column: 0,
}; // prettier-ignore
const flagsWithValue = new Set([
  '-n',
  '-c',
  '-d',
  '-f',
  '-b',
  '-k',
  '-t',
  '-w',
  '-A',
  '-B',
  '-C',
  '-m',
  '-F',
  '-v',
  '-s',
]);

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Whether a command called with these arguments reads its stdin. */
export function readsStdin(name: string, args: readonly string[]): boolean {
  const ignored = Object.hasOwn(stdinReaders, name) ? stdinReaders[name] : undefined;
  if (ignored === undefined) return false;
  let operands = 0;
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    if (argument === '-') return true;
    if (argument === '-e' || argument === '-f') operands += 1;
    if (flagsWithValue.has(argument) && !(name === 'cat' || name === 'grep' || name === 'sort')) index += 1;
    else if (!argument.startsWith('-')) operands += 1;
  }
  return operands <= ignored;
}

function isStandaloneExec(command: CommandNode): boolean {
  return command.type === 'SimpleCommand' && literal(command.name) === 'exec' && command.args.length === 0;
}

function simpleStatement(command: { name: WordNode; args: WordNode[] }): StatementNode {
  const simple: SimpleCommand = { type: 'SimpleCommand', ...command, assignments: [], redirections: [] };
  return {
    type: 'Statement',
    pipelines: [{ type: 'Pipeline', commands: [simple], negated: false }],
    operators: [],
    background: false,
  };
}

/** Puts a launcher or reader under the command that feeds it from the channel. */
function prefixed(command: SimpleCommand, isWholePipeline: boolean): SimpleCommand {
  const name = literal(command.name);
  const readsElsewhere = command.redirections.some((redirection) => redirection.operator.startsWith('<'));
  const streams = isWholePipeline && command.redirections.length === 0;
  if (name === 'exec') {
    const under = streams ? [word(TERMINAL_COMMAND)] : readsElsewhere ? [] : [word(STDIN_COMMAND)];
    return { ...command, args: [...under, ...command.args] };
  }
  if (name === undefined || command.name === null) return command;
  if (streams && launchers.has(baseName(name))) {
    return { ...command, name: word(TERMINAL_COMMAND), args: [command.name, ...command.args] };
  }
  const args = command.args.map((argument) => literal(argument) ?? 'operand');
  const reads = launchers.has(baseName(name)) || readsStdin(baseName(name), args);
  if (!reads || readsElsewhere) return command;
  return { ...command, name: word(STDIN_COMMAND), args: [command.name, ...command.args] };
}

function redirected(command: CommandNode, stdout: boolean): CommandNode {
  if (command.type === 'FunctionDef') return command;
  const base = [
    ...(stdout
      ? [{ type: 'Redirection' as const, fd: 1, operator: '>>' as const, target: word(TERMINAL_STDOUT) }]
      : []),
    { type: 'Redirection' as const, fd: 2, operator: '>>' as const, target: word(TERMINAL_STDERR) },
  ];
  // First, so that the command's own redirections (`2>&1`, `>file`) see them as a real shell's do.
  return { ...command, redirections: [...base, ...command.redirections] };
}

/** Bodies of a compound command are streamed one by one; a redirected one is streamed as a whole. */
function streamCompound(command: CommandNode): CommandNode | undefined {
  if (command.type === 'SimpleCommand' || command.type === 'FunctionDef' || command.redirections.length > 0)
    return undefined;
  switch (command.type) {
    case 'If':
      return {
        ...command,
        clauses: command.clauses.map((clause) => ({
          condition: streamAll(clause.condition),
          body: streamAll(clause.body),
        })),
        elseBody: command.elseBody ? streamAll(command.elseBody) : null,
      };
    case 'While':
    case 'Until':
      return { ...command, condition: streamAll(command.condition), body: streamAll(command.body) };
    case 'For':
    case 'CStyleFor':
    case 'Group':
    case 'Subshell':
      return { ...command, body: streamAll(command.body) };
    case 'Case':
      return { ...command, items: command.items.map((item) => ({ ...item, body: streamAll(item.body) })) };
    default:
      return undefined;
  }
}

/** `exec CMD` does not end the script in just-bash: say so explicitly. */
function endAfterExec(command: CommandNode): CommandNode {
  if (command.type !== 'SimpleCommand' || literal(command.name) !== 'exec' || command.args.length === 0) return command;
  const exit = simpleStatement({ name: word('exit'), args: [] });
  const run: StatementNode = { ...exit, pipelines: [{ type: 'Pipeline', commands: [command], negated: false }] };
  return { type: 'Group', body: [run, exit], redirections: [] };
}

function streamPipeline(pipeline: PipelineNode): PipelineNode {
  const [only] = pipeline.commands;
  if (pipeline.commands.length === 1 && only) {
    const compound = streamCompound(only);
    if (compound) return { ...pipeline, commands: [compound] };
  }
  const last = pipeline.commands.length - 1;
  const commands = pipeline.commands.map((command, index) => {
    const fed = index === 0 && command.type === 'SimpleCommand' ? prefixed(command, last === 0) : command;
    return endAfterExec(redirected(fed, index === last));
  });
  return { ...pipeline, commands };
}

/** `CMD &`: just-bash would run it here and now, so it is handed over as text. */
function inBackground(statement: StatementNode): StatementNode {
  const script = serialize({ type: 'Script', statements: [{ ...statement, background: false }] });
  // In Base64, so that no quoting is at stake.
  const text = word(Buffer.from(script).toString('base64'));
  return simpleStatement({ name: word(BACKGROUND_COMMAND), args: [text] });
}

function streamAll(statements: readonly StatementNode[]): StatementNode[] {
  return statements.map((statement) =>
    statement.background
      ? inBackground(statement)
      : { ...statement, background: false, pipelines: statement.pipelines.map(streamPipeline) },
  );
}

/** `$!` and `wait` know only just-bash's own jobs: give them ours. */
function withOwnJobs<T>(node: T): T {
  if (Array.isArray(node)) return node.map(withOwnJobs) as T;
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, withOwnJobs<unknown>(value)]),
  ) as T & {
    type?: string;
    parameter?: string;
    name?: WordNode | null;
  };
  if (copy.type === 'ParameterExpansion' && copy.parameter === '!') return { ...copy, parameter: BACKGROUND_PID };
  if (copy.type === 'SimpleCommand' && literal(copy.name) === 'wait') return { ...copy, name: word(WAIT_COMMAND) };
  return copy;
}

/** True if a builtin that runs in the shell itself (`read`, `mapfile`) takes stdin, so that it has to be there first. */
function hasReadingBuiltin(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(hasReadingBuiltin);
  if (typeof node !== 'object' || node === null) return false;
  if ('redirections' in node && Array.isArray(node.redirections)) {
    const fromElsewhere = node.redirections.some((redirection: { operator?: string }) =>
      redirection.operator?.startsWith('<'),
    );
    if (fromElsewhere) return false;
  }
  if ('type' in node && node.type === 'SimpleCommand') {
    const name = literal((node as SimpleCommand).name);
    if (name === 'read' || name === 'mapfile' || name === 'readarray') return true;
  }
  // What comes after a pipe reads what comes through it.
  if ('type' in node && node.type === 'Pipeline') return hasReadingBuiltin((node as PipelineNode).commands[0]);
  return Object.values(node).some(hasReadingBuiltin);
}

/** Whether a script cannot start before all of stdin has arrived. An unreadable script needs nothing. */
export function needsStdinFirst(script: string): boolean {
  try {
    return hasReadingBuiltin(parse(script));
  } catch {
    return false;
  }
}

export interface TerminalScript {
  readonly source: string;
  /** The script cannot start before all of stdin has arrived. */
  readonly needsStdinFirst: boolean;
}

/**
 * Rewrites a script so that what it prints reaches the channel command by command, instead of after its end, and so that
 * stdin is waited for only by commands that read it. just-bash itself returns output as one string.
 *
 * Throws the parser's error if the text is no shell script.
 */
export function streamToTerminal(script: string): TerminalScript {
  const parsed: ScriptNode = parse(script);
  const ast = /&|\$!|\bwait\b/.test(script) ? withOwnJobs(parsed) : parsed;
  const needsStdin = hasReadingBuiltin(ast);
  const redirectsItself = ast.statements.some((statement) =>
    statement.pipelines.some((pipeline) => pipeline.commands.some(isStandaloneExec)),
  );
  if (redirectsItself) return { source: script, needsStdinFirst: needsStdin };
  return { source: serialize({ ...ast, statements: streamAll(ast.statements) }), needsStdinFirst: needsStdin };
}
