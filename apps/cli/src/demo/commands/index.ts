import { launchCommands } from './launch.js';
import { systemCommands } from './system.js';
import type { DemoCommand } from './types.js';

/** The explicit registry of the commands that demo hosts have beyond just-bash's own. */
export const demoCommands: Readonly<Record<string, DemoCommand>> = {
  ...launchCommands,
  ...systemCommands,
};

export const demoCommandNames: readonly string[] = Object.keys(demoCommands);
