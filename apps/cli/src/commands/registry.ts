import type { Command } from 'commander';
import type { Session } from '../session/session.js';
import { addApprovalCommands } from './approval/index.js';
import { addAssetCommands } from './asset/index.js';
import { addAuditCommands } from './audit/index.js';
import { addCalendarCommands } from './calendar/index.js';
import { addCapacityCommands } from './capacity/index.js';
import { addCompletionCommands } from './completion/index.js';
import { addCredentialCommands } from './credential/index.js';
import { addDocumentCommands } from './document/index.js';
import { addExecCommand } from './exec/index.js';
import { addForecastCommand } from './forecast/index.js';
import { addInventoryCommand } from './inventory/index.js';
import { addLintCommand } from './lint/index.js';
import { addPlanCommand } from './plan/index.js';
import { addPrincipalCommands } from './principal/index.js';
import { addRehearseCommand } from './rehearse/index.js';
import { addReportCommands } from './report/index.js';
import { addRunCommands } from './run/index.js';
import { addScheduleCommands } from './schedule/index.js';
import { addStackCommands } from './stack/index.js';
import { addTokenCommands } from './token/index.js';
import { addWhoamiCommand } from './whoami/index.js';

/** Adds a noun with its verbs, or a verb that stands alone. */
export type AddCommands = (program: Command, session: Session) => void;

export interface CommandGroup {
  /** Heading in the help. */
  readonly title: string;
  readonly commands: readonly AddCommands[];
}

/** Every command there is, in the order of the help. */
export const commandGroups: readonly CommandGroup[] = [
  { title: 'Local stack:', commands: [addStackCommands] },
  {
    title: 'Work:',
    commands: [
      addRunCommands,
      addApprovalCommands,
      addPlanCommand,
      addExecCommand,
      addScheduleCommands,
      addCalendarCommands,
      addForecastCommand,
      addCapacityCommands,
    ],
  },
  { title: 'Documents:', commands: [addDocumentCommands, addLintCommand, addRehearseCommand] },
  { title: 'Inventory:', commands: [addAssetCommands, addCredentialCommands, addInventoryCommand, addReportCommands] },
  {
    title: 'Who, and what they did:',
    commands: [addWhoamiCommand, addPrincipalCommands, addTokenCommands, addAuditCommands],
  },
  { title: 'This program:', commands: [addCompletionCommands] },
];
