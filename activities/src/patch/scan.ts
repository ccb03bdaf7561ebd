import { Buffer } from 'node:buffer';
import {
  durationMs,
  FettleError,
  selectUpdates,
  versionKey,
  withNeedsOther,
  worstSeverity,
  type FirstSeen,
  type HostPackages,
  type PatchSelection,
} from '@fettle/contracts';
import { detectProvider, type HostCommands, type PackageProvider } from '@fettle/drivers';
import type { z } from 'zod';
import { patchScan } from '../contracts.js';
import { driverBecome, targetAction } from '../implementation.js';
import { chooseUpdates, decidedBy, rulesOf, type DecidingRules } from './choose-updates.js';
import { hostCommands } from './host-commands.js';
import { readHost } from './read-host.js';

type ScanOutput = z.output<typeof patchScan.output>;

/** What later steps may read stays below the limit of an output (64 KiB), with room for the rest of it. */
const MAX_OFFER_BYTES = 49_152;
const MAX_HELD_NAMES = 100;
const MAX_LEFT_ALONE = 20;
const MAX_DETAIL_CHARS = 200;

export const scanPatches = targetAction(patchScan, async (input, context, { becomeUser }) => {
  const become = await driverBecome(becomeUser, input.become, context.secret);
  const commands = hostCommands(context, become, context.note, durationMs(input.lockWait));
  const provider = await detectProvider(commands);
  if (input.refresh) await provider.refresh(commands, durationMs(input.lockWait));
  const read = await readHost(provider, commands);
  const host = input.refresh ? { ...read, listsReadAt: new Date() } : read;
  const firstSeen = await context.patches.scanned(host);
  const decided = await rulesOf({ ...input, versions: [] }, context.patches, host);
  const chosen = await chosenUpdates(provider, commands, host, decided, firstSeen);
  // The report is to know it as well.
  const told = withNeedsOther(host, chosen.skipped);
  if (told !== host) await context.patches.scanned(told);
  const output = scanOutput(host, firstSeen, decided, chosen);
  context.output('stdout', Buffer.from(scanText(output, decidedBy(decided), chosen)));
  return { state: 'succeeded', exitCode: null, error: null, output };
});

/** What an installation would choose now. */
interface Chosen extends PatchSelection {
  /** Why the package manager installs nothing as the host is; null: it does. */
  readonly refusal: string | null;
}

/** A host that refuses everything is looked at all the same: what is wanted is told, and why it would not be installed. */
export async function chosenUpdates(
  provider: PackageProvider,
  commands: HostCommands,
  host: HostPackages,
  decided: DecidingRules,
  firstSeen: FirstSeen,
): Promise<Chosen> {
  try {
    return { ...(await chooseUpdates(provider, commands, host, decided, firstSeen)), refusal: null };
  } catch (error) {
    if (!(error instanceof FettleError) || error.detail?.['refusesAll'] !== true) throw error;
    return { ...selectUpdates(host, decided.rules, firstSeen, Date.now()), refusal: error.message };
  }
}

const isLeftAlone = (reason: string): reason is 'needs-other' | 'after-repair' =>
  reason === 'needs-other' || reason === 'after-repair';

export function scanOutput(host: HostPackages, firstSeen: FirstSeen, by: DecidingRules, chosen: Chosen): ScanOutput {
  const rank = (one: { isSecurity: boolean; name: string }): string => `${one.isSecurity ? 0 : 1} ${one.name}`;
  const all = host.offers
    .map(({ name, architecture, installed, isHeld, isPinned, newer }) => {
      const version = newer[0]?.version ?? installed;
      const isSecurity = newer.some((one) => one.isSecurity);
      const severity = worstSeverity(newer);
      const seenAt = firstSeen.get(versionKey({ name, architecture, version }));
      const firstSeenAt = (seenAt ?? new Date()).toISOString();
      const held = { isHeld, ...(isPinned === true ? { isPinned } : {}) };
      return { name, architecture, installed, available: version, isSecurity, severity, ...held, firstSeenAt };
    })
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  let bytes = 0;
  const kept = all.filter((one) => (bytes += Buffer.byteLength(JSON.stringify(one)) + 1) <= MAX_OFFER_BYTES);
  return {
    manager: host.manager,
    baseline: by.baseline ?? null,
    wanted: chosen.selected.length,
    leftAlone: chosen.skipped
      .flatMap(({ name, version, reason, detail = '' }) =>
        isLeftAlone(reason) ? [{ name, version, reason, detail: detail.slice(0, MAX_DETAIL_CHARS) }] : [],
      )
      .slice(0, MAX_LEFT_ALONE),
    refusal: chosen.refusal,
    packages: host.packages.length,
    updates: all.length,
    securityUpdates: all.filter(({ isSecurity }) => isSecurity).length,
    held: host.packages
      .filter(({ isHeld }) => isHeld)
      .map(({ name }) => name)
      .slice(0, MAX_HELD_NAMES),
    offers: kept,
    truncated:
      kept.length < all.length || chosen.skipped.filter(({ reason }) => isLeftAlone(reason)).length > MAX_LEFT_ALONE,
    isInterrupted: host.isInterrupted,
    reboot: host.reboot.state,
    rebootReasons: [...host.reboot.reasons],
  };
}

/** For the step's log. */
function scanText(scan: ScanOutput, by: string, { skipped, refusal }: Chosen): string {
  const lines = [
    `${scan.packages} packages, ${scan.updates} with updates, ${scan.securityUpdates} of them security`,
    `${scan.wanted} wanted by ${by}`,
    ...scan.offers.map(
      ({ name, installed, available, isSecurity, severity, isHeld, isPinned }) =>
        `${name} ${installed} -> ${available}${isSecurity ? ` (security${severity === null ? '' : `, ${severity}`})` : ''}${isHeld ? ` (held${isPinned === true ? ' by a pin' : ''})` : ''}`,
    ),
    ...skipped.flatMap(({ name, version, reason, detail = '' }) =>
      isLeftAlone(reason) ? [`would be left alone: ${name} ${version} (${reason}: ${detail})`] : [],
    ),
    ...(refusal === null ? [] : [`nothing would be installed: ${refusal}`]),
    ...(scan.isInterrupted ? ['a change of packages was cut off and has to be repaired'] : []),
    `reboot: ${[scan.reboot, ...scan.rebootReasons].join('; ')}`,
  ];
  return `${lines.join('\n')}\n`;
}
