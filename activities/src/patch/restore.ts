import { Buffer } from 'node:buffer';
import { durationMs, type HostPackages, type PatchSelection, type SelectedUpdate } from '@fettle/contracts';
import { PATCHES_KEPT_MS } from '@fettle/database';
import { detectProvider } from '@fettle/drivers';
import type { z } from 'zod';
import { patchRestore } from '../contracts.js';
import { driverBecome, targetAction, type ActionEnd, type UndoContext } from '../implementation.js';
import { hostCommands } from './host-commands.js';
import { installError, resultsOf, resultText, successorOf } from './install-results.js';
import { carryOut } from './install.js';
import { readHost } from './read-host.js';

type RestoreEnd = ActionEnd<z.output<typeof patchRestore.output>>;

const KEPT_DAYS = PATCHES_KEPT_MS / 86_400_000;

/** So many restored packages are given to later steps; the log has all. */
const MAX_GIVEN = 150;

const failed = (code: string, message: string, remedy: string): RestoreEnd => ({
  state: 'failed',
  exitCode: null,
  error: { code, message, remedy },
  output: null,
});

export const restorePatches = targetAction(
  patchRestore,
  async (input, context, { becomeUser }): Promise<RestoreEnd> => {
    const { name } = context.asset;
    const chosen = await context.patches.chosenBy(context.undo.stepToken);
    if (chosen.length === 0 && isForgotten(context.undo, Date.now())) {
      const message = `${name}: the step was carried out more than ${KEPT_DAYS} days ago, and what it installed is not known any more; nothing was put back.`;
      return failed('installation-forgotten', message, 'Look in its log what it installed, then decide by hand.');
    }
    const become = await driverBecome(becomeUser, input.become, context.secret);
    const commands = hostCommands(context, become, context.note, durationMs(input.lockWait));
    const provider = await detectProvider(commands);
    const { back, changed } = changesBack(chosen, await provider.read(commands));
    if (changed.length > 0) {
      const message = `${name}: somebody has changed ${changed.slice(0, 10).join(', ')} since; nothing was put back.`;
      return failed('changed-since', message, 'Look at what was installed since, then decide by hand.');
    }
    if (back.length === 0) return { state: 'succeeded', exitCode: 0, error: null, output: { restored: [] } };
    const { refusal } = await provider.simulate(commands, back, 'downgrade');
    if (refusal !== null) {
      const wanted = back.slice(0, 10).map((one) => `${one.name} ${one.to}`);
      const message = `${name}: ${wanted.join(', ')} cannot be put back: ${refusal}`.slice(0, 1_500);
      return failed(
        'former-version-missing',
        message,
        'Keep former versions in a source of your own, or go back by a snapshot.',
      );
    }
    const command = provider.install(back, durationMs(input.lockWait), 'downgrade');
    const { exitCode, report } = await carryOut(command, context, become);
    const after = await readHost(provider, commands);
    await context.patches.scanned(after);
    const selection: PatchSelection = { selected: back, skipped: [] };
    const results = resultsOf(selection, after, report);
    context.output('stdout', Buffer.from(`\n${resultText(results, selection)}`));
    const shown = command.shown.slice(0, 3).join(' ');
    const { isInterrupted } = after;
    const error = installError({ host: name, command: shown, exitCode, results, report, isInterrupted });
    if (error !== null) return { state: 'failed', exitCode, error, output: null };
    const restored = back
      .slice(0, MAX_GIVEN)
      .map(({ architecture, from, to, ...one }) => ({ name: one.name, architecture, from, to }));
    return { state: 'succeeded', exitCode, error, output: { restored } };
  },
);

/** A step that chose nothing leaves no trace in the ledger; neither does one that was forgotten. Which it is its age tells. */
export function isForgotten({ of, startedAt }: Pick<UndoContext, 'of' | 'startedAt'>, nowMs: number): boolean {
  if (of === null || startedAt === null || startedAt === undefined) return false;
  return nowMs - startedAt.getTime() >= PATCHES_KEPT_MS;
}

interface ChangesBack {
  readonly back: readonly SelectedUpdate[];
  /** Packages that are neither as they were nor as they were to be. */
  readonly changed: readonly string[];
}

/** From what is there now to what was there before the first attempt; what that never changed, or is back already, is left out. */
export function changesBack(chosen: readonly PatchSelection[], now: HostPackages): ChangesBack {
  const first = new Map<string, SelectedUpdate>();
  const wanted = new Map<string, Set<string>>();
  for (const update of chosen.flatMap(({ selected }) => selected)) {
    const key = `${update.name}:${update.architecture}`;
    if (!first.has(key)) first.set(key, update);
    wanted.set(key, (wanted.get(key) ?? new Set<string>()).add(update.to));
  }
  const back: SelectedUpdate[] = [];
  const changed: string[] = [];
  for (const [key, update] of first) {
    const { name, architecture, from } = update;
    const found = successorOf(
      architecture,
      now.packages.filter((one) => one.name === name),
    );
    const version = found?.version;
    // Back by its version alone is not back: it may have been cut off on the way.
    if (version === from && found?.state === 'installed') continue;
    if (version === undefined || (version !== from && !wanted.get(key)?.has(version)))
      changed.push(`${name} ${version ?? '(gone)'}`);
    else back.push({ name, architecture, from: version, to: from, isSecurity: update.isSecurity });
  }
  return { back, changed };
}
