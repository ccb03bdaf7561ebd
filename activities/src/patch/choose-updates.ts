import {
  baselineText,
  FettleError,
  narrowedRules,
  nameReason,
  selectUpdates,
  type DecidingBaseline,
  type FirstSeen,
  type HostPackages,
  type PatchRules,
  type PatchSelection,
  type SelectedUpdate,
  type SkippedUpdate,
  type TestedVersions,
} from '@fettle/contracts';
import type { HostCommands, PackageProvider, SimulatedInstall } from '@fettle/drivers';
import type { z } from 'zod';
import type { patchInstall } from '../contracts.js';
import type { PatchLookup } from './ledger.js';

const DAY_MS = 86_400_000;

export type InstallInput = z.output<typeof patchInstall.input>;

/** Rules, and what they are from. */
export interface DecidingRules {
  readonly rules: PatchRules;
  /** Null: no baseline selects the asset. Absent: the step's own rules. */
  readonly baseline?: DecidingBaseline | null;
  /** Given: hosts of this one's release were not among those that tested; of what is wanted, nothing is. */
  readonly untestedRelease?: string;
}

type RulesInput = Pick<
  InstallInput,
  'updates' | 'baseline' | 'versions' | 'approved' | 'rejected' | 'delayDays' | 'tested'
>;

/** @throws FettleError `baseline-missing`, `tested-set-missing` */
export async function rulesOf(input: RulesInput, patches: PatchLookup, host: HostPackages): Promise<DecidingRules> {
  const decided = await untestedRulesOf(input, patches);
  if (input.tested === '') return decided;
  const tested = await patches.tested(input.tested, host);
  const rules = { ...decided.rules, tested: tested ?? new Map<string, ReadonlySet<string>>() };
  return tested === null
    ? { ...decided, rules, untestedRelease: host.release ?? 'of no known release' }
    : { ...decided, rules };
}

/**
 * Where nobody has tested anything for hosts of a release, what these want is not just left alone: they would look patched.
 * @throws FettleError `release-not-tested`
 */
export function refuseUntestedRelease(
  asset: string,
  host: HostPackages,
  { rules, untestedRelease }: DecidingRules,
  firstSeen: FirstSeen,
): void {
  if (untestedRelease === undefined) return;
  const { tested: _none, ...wanted } = rules;
  const { selected } = selectUpdates(host, wanted, firstSeen, Date.now());
  if (selected.length === 0) return;
  throw new FettleError({
    code: 'release-not-tested',
    message: `${asset}: it wants ${selected.length} updates, and no host of its release (${untestedRelease}) is among those that tested; nothing was installed.`,
    remedy: 'Have a host of this release among those that test, or patch these hosts without "tested".',
    detail: { mayHaveStarted: false },
  });
}

async function untestedRulesOf(
  { updates, baseline: name, versions, approved, rejected, delayDays }: RulesInput,
  patches: PatchLookup,
): Promise<DecidingRules> {
  const step = { approved, rejected, delayMs: delayDays * DAY_MS };
  if (updates !== 'baseline') return { rules: { updates, versions, ...step } };
  const { rules, baseline } = await patches.baseline(name);
  return { rules: narrowedRules(rules, step), baseline };
}

/** For people, of what decided. */
export function decidedBy({ baseline }: Pick<DecidingRules, 'baseline'>): string {
  return baseline === undefined ? 'the rules of the step' : baselineText(baseline);
}

/** What the rules choose on this host, less what cannot be installed without touching what they reject. Changes nothing. */
export async function chooseUpdates(
  provider: PackageProvider,
  commands: HostCommands,
  host: HostPackages,
  decided: DecidingRules,
  firstSeen: FirstSeen,
): Promise<PatchSelection> {
  const { rules } = decided;
  refuseUntestedRelease(commands.host, host, decided, firstSeen);
  const { selected, skipped } = selectUpdates(host, rules, firstSeen, Date.now());
  const keepsOut = rules.rejected.length > 0 || rules.tested !== undefined;
  if (host.isInterrupted && keepsOut && (await isToldAfterRepair(provider, commands, selected)))
    return { selected: [], skipped: [...skipped, ...selected.map(afterRepair)] };
  const feasible = new Feasible(provider, commands, rules, host.isInterrupted && !keepsOut);
  const found = await feasible.of(selected);
  const left = [...skipped, ...feasible.skipped];
  if (!keepsOut || found.length === 0) return { selected: found, skipped: left };
  return { selected: found, skipped: left, foreseen: feasible.foreseen(found) };
}

/** Until what was cut off is repaired, the host may refuse to say what comes along: of what is to be kept out, nobody would know. */
async function isToldAfterRepair(
  provider: PackageProvider,
  commands: HostCommands,
  updates: readonly SelectedUpdate[],
): Promise<boolean> {
  if (updates.length === 0) return false;
  const isRefused = async (some: readonly SelectedUpdate[]): Promise<boolean> =>
    (await provider.simulate(commands, some)).refusal !== null;
  // The updates themselves may mend what it complains of.
  return (await isRefused(updates)) && isRefused([]);
}

const afterRepair = ({ name, to: version }: SelectedUpdate): SkippedUpdate => ({
  name,
  version,
  reason: 'after-repair',
  detail: 'what comes along with it can be told once what was cut off is repaired',
});

interface Refusal {
  readonly text: string;
  /** Packages that it names as those that cannot be. */
  readonly named: ReadonlySet<string>;
}

/**
 * Finds what of a selection can be installed together; what is left out says why. Where all of it can, as nearly always, the host is
 * asked once. Whatever is given back was simulated as it is given back.
 */
class Feasible {
  readonly skipped: SkippedUpdate[] = [];

  constructor(
    private readonly provider: PackageProvider,
    private readonly commands: HostCommands,
    private readonly rules: PatchRules,
    /** What was cut off may refuse everything until it is repaired; with nothing to be kept out, the installation itself is to say so. */
    private readonly isInterrupted: boolean,
  ) {}

  async of(updates: readonly SelectedUpdate[]): Promise<readonly SelectedUpdate[]> {
    if (updates.length === 0) return [];
    const first = await this.refusal(updates);
    if (first === null) return updates;
    if (!this.isInterrupted) await this.mustWork();
    // First without those that are named, since halves may part packages that go together only.
    let left = updates;
    for (let refusal: Refusal | null = first; refusal !== null; refusal = await this.refusal(left)) {
      const { named } = refusal;
      const kept = left.filter(({ name }) => !named.has(name));
      if (kept.length === left.length || kept.length === 0) return this.grown([], updates);
      left = kept;
    }
    return this.grown(
      left,
      updates.filter((one) => !left.includes(one)),
    );
  }

  /** What the installation of updates that were found feasible may touch: by version where it is versions that are kept out. */
  foreseen(updates: readonly SelectedUpdate[]): readonly string[] {
    const found = this.#simulated.get(updates);
    if (found === undefined) throw new Error('updates that nobody has simulated');
    const { touched, versions } = found;
    const exact = [...(versions ?? [])].map(([key, version]) => `${nameOf(key)}=${version}`);
    return this.rules.tested === undefined ? touched : exact;
  }

  readonly #simulated = new Map<readonly SelectedUpdate[], SimulatedInstall>();

  /** What can be installed, with as much more of the rest as can be beside it; by halves. */
  private async grown(
    kept: readonly SelectedUpdate[],
    rest: readonly SelectedUpdate[],
  ): Promise<readonly SelectedUpdate[]> {
    const [first] = rest;
    if (first === undefined) return kept;
    const both = [...kept, ...rest];
    const refusal = await this.refusal(both);
    if (refusal === null) return both;
    if (rest.length === 1) {
      this.skipped.push({
        name: first.name,
        version: first.to,
        reason: 'needs-other',
        detail: refusal.text.slice(0, 500),
      });
      return kept;
    }
    const middle = Math.ceil(rest.length / 2);
    return this.grown(await this.grown(kept, rest.slice(0, middle)), rest.slice(middle));
  }

  /** A host that refuses to install nothing refuses everything: that is no matter of the updates. */
  private async mustWork(): Promise<void> {
    const { refusal } = await this.provider.simulate(this.commands, []);
    if (refusal === null) return;
    throw new FettleError({
      code: 'package-manager-failed',
      message: `${this.commands.host}: its package manager installs nothing as it is: ${refusal}`.slice(0, 1_500),
      remedy: 'Mend the packages that it names on the host ("apt-get --fix-broken install"), and install again.',
      detail: { host: this.commands.host, refusesAll: true, mayHaveStarted: false },
    });
  }

  private async refusal(updates: readonly SelectedUpdate[]): Promise<Refusal | null> {
    const simulated = await this.provider.simulate(this.commands, updates);
    const { touched, refusal, blamed, versions } = simulated;
    const rejected = touched.filter(
      (name) => nameReason(name, { approved: [], rejected: this.rules.rejected }) !== null,
    );
    const none = new Set<string>();
    if (rejected.length > 0) return { text: `it needs ${rejected.join(', ')}, which is rejected`, named: none };
    const untested = this.untested(updates, versions ?? new Map<string, string>(), touched);
    if (untested.length > 0) return { text: `it needs ${untested.join(', ')}, which was not tested`, named: none };
    if (this.isInterrupted || refusal === null) {
      this.#simulated.set(updates, simulated);
      return null;
    }
    return { text: refusal, named: blamed === undefined ? namesIn(refusal) : new Set(blamed) };
  }

  /** What would come along in a version that no host was well with; one whose version is not told counts as such. */
  private untested(
    updates: readonly SelectedUpdate[],
    versions: ReadonlyMap<string, string>,
    touched: readonly string[],
  ): string[] {
    const { tested } = this.rules;
    if (tested === undefined) return [];
    const chosen = new Set(updates.flatMap(({ name, architecture }) => [name, `${name}:${architecture}`]));
    this.#known ??= versionsByName(tested);
    const known = this.#known;
    const told = new Set([...versions.keys()].map(nameOf));
    const untold = touched.filter((name) => !told.has(name)).map((name) => [name, ''] as const);
    return [...versions, ...untold]
      .filter(([key, version]) => !chosen.has(key) && (tested.get(key) ?? known.get(key))?.has(version) !== true)
      .map(([key, version]) => `${key} ${version}`.trim());
  }

  #known: ReadonlyMap<string, ReadonlySet<string>> | undefined;
}

const nameOf = (key: string): string => key.replace(/:[^:]*$/, '');

/** For a package manager that does not tell architectures. */
function versionsByName(tested: TestedVersions): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const [key, versions] of tested)
    found.set(nameOf(key), new Set([...(found.get(nameOf(key)) ?? []), ...versions]));
  return found;
}

/** Of what apt says: `app : Depends: lib (>= 2) but 1.0 is to be installed`. */
function namesIn(refusal: string): ReadonlySet<string> {
  const unmet = refusal.matchAll(/(?:^|; )([a-z0-9][a-z0-9.+-]*)(?::[a-z0-9]+)? : /g);
  const missing = refusal.matchAll(/Version '[^']*' for '([^':]+)(?::[a-z0-9]+)?' was not found/g);
  return new Set([...unmet, ...missing].map((match) => match[1] ?? ''));
}
