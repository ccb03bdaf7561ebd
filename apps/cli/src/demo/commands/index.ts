import { aptCommands } from './apt.js';
import { aptLookCommands } from './apt-look.js';
import { dnfCommands } from './dnf.js';
import { fileCommands } from './files.js';
import { hardwareCommands } from './hardware.js';
import { launchCommands } from './launch.js';
import { serviceCommands } from './services.js';
import { systemCommands } from './system.js';
import type { DemoCommand } from './types.js';

/** The explicit registry of the commands that demo hosts have beyond just-bash's own. */
export const demoCommands: Readonly<Record<string, DemoCommand>> = {
  ...launchCommands,
  ...systemCommands,
  ...hardwareCommands,
  ...serviceCommands,
  ...aptCommands,
  ...aptLookCommands,
  ...dnfCommands,
  ...fileCommands,
};

export const demoCommandNames: readonly string[] = Object.keys(demoCommands);
