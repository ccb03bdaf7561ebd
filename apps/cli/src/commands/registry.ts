import type { Command } from 'commander';
import type { Session } from '../session/session.js';
import { addDocumentCommands } from './document/index.js';
import { addExecCommand } from './exec/index.js';
import { addRunCommands } from './run/index.js';
import { addStackCommands } from './stack/index.js';
import { addWhoamiCommand } from './whoami/index.js';

/** Adds a noun with its verbs, or a verb that stands alone. */
export type AddCommands = (program: Command, session: Session) => void;

/** Every command there is, in the order of the help. */
export const commandGroups: readonly AddCommands[] = [
  addStackCommands,
  addDocumentCommands,
  addRunCommands,
  addExecCommand,
  addWhoamiCommand,
];
