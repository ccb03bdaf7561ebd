import { getCommandNames, type CommandName } from 'just-bash';

/** Interpreters that just-bash runs in workers of the real process, and tools that only a network would need. */
const leftOut = new Set<string>(['python3', 'python', 'js-exec', 'node', 'sqlite3', 'curl', 'html-to-markdown']);

/** just-bash's own commands that demo hosts have. */
export const shellCommandNames: readonly CommandName[] = getCommandNames()
  .filter((name) => !leftOut.has(name))
  .map((name) => name as CommandName);
