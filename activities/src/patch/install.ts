import { Buffer } from 'node:buffer';
import {
  durationMs,
  FettleError,
  packageEnvironment,
  withNeedsOther,
  type HostPackages,
  type PatchSelection,
} from '@fettle/contracts';
import {
  detectProvider,
  providerOf,
  type Become,
  type HostCommands,
  type InstallCommand,
  type InstallReport,
  type PackageProvider,
} from '@fettle/drivers';
import { patchInstall } from '../contracts.js';
import { isAway } from '../host/reboot-state.js';
import {
  driverBecome,
  StillRunning,
  targetAction,
  type ActionEnd,
  type DetachedMemory,
  type ProbeContext,
  type Probed,
  type TargetContext,
} from '../implementation.js';
import { executeDetached, HOST_PATIENCE_MS } from '../ssh/execute-detached.js';
import { chooseUpdates, decidedBy, rulesOf, type DecidingRules, type InstallInput } from './choose-updates.js';
import { hostCommands } from './host-commands.js';
import { readHost } from './read-host.js';
import {
  installError,
  outputOf,
  repairedOnly,
  resultsOf,
  resultText,
  type DecidedSelection,
  type InstallOutput,
} from './install-results.js';

/** What was read of the output of installations that this worker looks after. */
const reports = new WeakMap<DetachedMemory, InstallReport>();

export const installPatches = targetAction(
  patchInstall,
  async (input, context, { becomeUser }) => {
    const become = await driverBecome(becomeUser, input.become, context.secret);
    const kept = await context.patches.chosen(context.token);
    // It may be at work there: nothing else is asked of the host before that is looked for, or stopped.
    if (kept !== null) return install(input, context, { become, provider: providerOf(kept.manager), selection: kept });
    const commands = hostCommands(context, become, context.note, durationMs(input.lockWait));
    const provider = await detectProvider(commands);
    if (input.refresh) await provider.refresh(commands, durationMs(input.lockWait));
    const read = await readHost(provider, commands);
    // Lists that came unchanged leave no trace on the host.
    const host = input.refresh ? { ...read, listsReadAt: new Date() } : read;
    const decided = await rulesOf(input, context.patches, host);
    const firstSeen = await context.patches.scanned(host);
    const found = withBaseline(await chooseUpdates(provider, commands, host, decided, firstSeen), decided);
    refuseMissing(input, found, context);
    const told = withNeedsOther(host, found.skipped);
    if (told !== host) await context.patches.scanned(told);
    if (found.selected.length === 0 && !host.isInterrupted) return nothingToDo(found, host, context);
    const { token, undo } = context;
    const attempt = { token, stepToken: undo.stepToken };
    const selection = await context.patches.choose(attempt, { ...found, manager: provider.manager });
    return install(input, context, { become, provider, selection });
  },
  (input, context, _look, { becomeUser }) => probe(input, context, becomeUser),
);

function withBaseline(found: PatchSelection, { baseline }: DecidingRules): DecidedSelection {
  return baseline === undefined ? found : { ...found, baseline };
}

/** Versions that were asked for by name and that nobody offers: said before anything is done. */
function refuseMissing({ updates }: InstallInput, { skipped }: PatchSelection, { asset }: TargetContext): void {
  const missing = skipped.filter(({ reason }) => updates === 'exact' && reason === 'not-offered');
  if (missing.length === 0) return;
  const named = missing.slice(0, 10).map(({ name, version }) => `${name} ${version}`);
  throw new FettleError({
    code: 'version-not-offered',
    message: `${asset.name}: its package sources do not offer ${named.join(', ')}; nothing was installed.`,
    remedy: 'Keep tested versions in a source of your own, or choose versions that are on offer (fettle: patch.scan).',
    detail: { mayHaveStarted: false },
  });
}

function nothingToDo(found: DecidedSelection, host: HostPackages, context: TargetContext): ActionEnd<InstallOutput> {
  context.output('stdout', Buffer.from(`by ${decidedBy(found)}:\n${resultText([], found)}`));
  const output = outputOf([], found, host, { isRepaired: false, services: [], keptFiles: [] });
  return { state: 'succeeded', exitCode: 0, error: null, output };
}

interface Work {
  readonly become: Become | undefined;
  readonly provider: PackageProvider;
  readonly selection: DecidedSelection;
}

async function install(input: InstallInput, context: TargetContext, work: Work): Promise<ActionEnd<InstallOutput>> {
  const { become, provider, selection } = work;
  const command = provider.install(selection.selected, durationMs(input.lockWait), undefined, selection.foreseen);
  const { exitCode, report } = await carryOut(command, context, become);
  const after = await readAfter(context, work, durationMs(input.lockWait));
  await context.patches.scanned(withNeedsOther(after, selection.skipped));
  const results = resultsOf(selection, after, report);
  await context.patches.ended(context.token, results);
  context.output('stdout', Buffer.from(`\nby ${decidedBy(selection)}:\n${resultText(results, selection)}`));
  const shown = command.shown.slice(0, 2).join(' ');
  const host = context.asset.name;
  const { isInterrupted } = after;
  const said = installError({ host, command: shown, exitCode, results, report, isInterrupted });
  const error = repairedOnly(host, selection, after, said);
  const output = outputOf(results, selection, after, report);
  return error === null
    ? { state: 'succeeded', exitCode, error, output }
    : { state: 'failed', exitCode, error, output: null };
}

const READ_AGAIN_MS = 10_000;
/** So long is looked what an installation has left that ended while its run was cancelled. */
const LAST_READ_MS = 60_000;

/** How the packages stand, once the command has ended: a host that is away just then is asked again later, as the command was. */
async function readAfter(
  context: TargetContext,
  { become, provider }: Work,
  lockWaitMs: number,
): Promise<HostPackages> {
  const commands = (place: TargetContext): HostCommands => hostCommands(place, become, undefined, lockWaitMs);
  try {
    return await readHost(provider, commands(context));
  } catch (error) {
    if (context.detached === null) throw error;
    if (context.detached.isCancelled())
      return readHost(provider, commands({ ...context, signal: AbortSignal.timeout(LAST_READ_MS) }));
    if (!isAway(error) || context.detached.elapsedMs >= context.timeoutMs + HOST_PATIENCE_MS) throw error;
    throw new StillRunning(READ_AGAIN_MS);
  }
}

/** Detached wherever the host can; its output is read whoever began it. */
export async function carryOut(
  { argv, stdin, newReport }: Pick<InstallCommand, 'argv' | 'stdin' | 'newReport'>,
  context: TargetContext,
  become: Become | undefined,
): Promise<{ exitCode: number; report: InstallReport }> {
  const report = (context.detached && reports.get(context.detached.memory)) ?? newReport();
  if (context.detached !== null) reports.set(context.detached.memory, report);
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const output: TargetContext['output'] = (stream, chunk) => {
    report.add(stream, decoders[stream].decode(chunk, { stream: true }));
    context.output(stream, chunk);
  };
  const { timeoutMs, signal, token } = context;
  const command = { argv, stdin, env: { ...packageEnvironment }, cwd: undefined, become, timeoutMs };
  if (context.detached !== null) {
    const found = await executeDetached(command, { ...context, output }, context.detached);
    if (found !== 'attach') return { exitCode: found.exitCode, report };
  }
  const request = { ...command, signal, token, onOutput: output };
  const end = await context.ssh.exec(context.endpoint, context.credential, request);
  if ('exitCode' in end) return { exitCode: end.exitCode, report };
  throw new FettleError({
    code: 'command-signalled',
    message: `${context.asset.name}: the installation was ended by signal ${end.signal}.`,
    remedy: 'Install again: what was cut off is repaired first.',
  });
}

async function probe(
  input: InstallInput,
  context: ProbeContext,
  becomeUser: string | undefined,
): Promise<Probed<InstallOutput>> {
  const unclear = (summary: string): Probed<InstallOutput> => ({ state: 'unclear', summary, diff: null, output: null });
  if (context.lostToken !== null) return unclear('how the installation stands is asked of the host itself');
  const become = await driverBecome(becomeUser, input.become, context.secret);
  const commands = hostCommands(context, become, undefined, durationMs(input.lockWait));
  const provider = await detectProvider(commands);
  const host = await readHost(provider, commands);
  const firstSeen = await context.patches.firstSeen(host);
  const decided = await rulesOf(input, context.patches, host);
  const { selected } = await chooseUpdates(provider, commands, host, decided, firstSeen);
  const lines = selected.map(({ name, from, to }) => `${name} ${from} -> ${to}`);
  if (host.isInterrupted) lines.unshift('a change of packages that was cut off would be repaired');
  if (lines.length === 0)
    return {
      state: 'present',
      summary: `by what the host knows of its sources and ${decidedBy(decided)}, there is nothing to install`,
      diff: null,
      output: null,
    };
  const shown = lines.slice(0, 20).join(', ');
  const summary = `${lines.length === selected.length ? '' : 'interrupted; '}${selected.length} updates by ${decidedBy(decided)}: ${shown}`;
  return { state: 'differs', summary: summary.slice(0, 1_500), diff: null, output: null };
}
