import {
  FettleError,
  nameReason,
  selectUpdates,
  type FirstSeen,
  type HostPackages,
  type PatchRules,
  type PatchSelection,
  type SelectedUpdate,
  type SkippedUpdate,
} from '@fettle/contracts';
import type { HostCommands, PackageProvider } from '@fettle/drivers';
import type { z } from 'zod';
import type { patchInstall } from '../contracts.js';

const DAY_MS = 86_400_000;

export type InstallInput = z.output<typeof patchInstall.input>;

export function rulesOf({ updates, versions, approved, rejected, delayDays }: InstallInput): PatchRules {
  return { updates, versions, approved, rejected, delayMs: delayDays * DAY_MS };
}

/** What the rules choose on this host, less what cannot be installed without touching what they reject. Changes nothing. */
export async function chooseUpdates(
  provider: PackageProvider,
  commands: HostCommands,
  host: HostPackages,
  rules: PatchRules,
  firstSeen: FirstSeen,
): Promise<PatchSelection> {
  const { selected, skipped } = selectUpdates(host, rules, firstSeen, Date.now());
  const feasible = new Feasible(provider, commands, rules, host.isInterrupted);
  return { selected: await feasible.of(selected), skipped: [...skipped, ...feasible.skipped] };
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
    /** What was cut off may refuse everything until it is repaired: then the installation itself is to say so. */
    private readonly isInterrupted: boolean,
  ) {}

  async of(updates: readonly SelectedUpdate[]): Promise<readonly SelectedUpdate[]> {
    if (updates.length === 0) return [];
    const first = await this.refusal(updates);
    if (first === null) return updates;
    if (!this.isInterrupted) await this.mustWork();
    // First without those that are named, since halves may part packages that go together only.
    let left = updates;
    for (let refusal: string | null = first; refusal !== null; refusal = await this.refusal(left)) {
      const named = namesIn(refusal);
      const kept = left.filter(({ name }) => !named.has(name));
      if (kept.length === left.length || kept.length === 0) return this.grown([], updates);
      left = kept;
    }
    return this.grown(
      left,
      updates.filter((one) => !left.includes(one)),
    );
  }

  /** What can be installed, with as much more of the rest as can be beside it; by halves. */
  private async grown(
    kept: readonly SelectedUpdate[],
    rest: readonly SelectedUpdate[],
  ): Promise<readonly SelectedUpdate[]> {
    const [first] = rest;
    if (first === undefined) return kept;
    const refusal = await this.refusal([...kept, ...rest]);
    if (refusal === null) return [...kept, ...rest];
    if (rest.length === 1) {
      this.skipped.push({ name: first.name, version: first.to, reason: 'needs-other', detail: refusal.slice(0, 500) });
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
      detail: { host: this.commands.host, mayHaveStarted: false },
    });
  }

  private async refusal(updates: readonly SelectedUpdate[]): Promise<string | null> {
    const { touched, refusal } = await this.provider.simulate(this.commands, updates);
    const rejected = touched.filter(
      (name) => nameReason(name, { approved: [], rejected: this.rules.rejected }) !== null,
    );
    if (rejected.length > 0) return `it needs ${rejected.join(', ')}, which is rejected`;
    return this.isInterrupted ? null : refusal;
  }
}

/** Packages that a refusal names as those that cannot be: `app : Depends: lib (>= 2) but 1.0 is to be installed`. */
function namesIn(refusal: string): ReadonlySet<string> {
  const unmet = refusal.matchAll(/(?:^|; )([a-z0-9][a-z0-9.+-]*)(?::[a-z0-9]+)? : /g);
  const missing = refusal.matchAll(/Version '[^']*' for '([^':]+)(?::[a-z0-9]+)?' was not found/g);
  return new Set([...unmet, ...missing].map((match) => match[1] ?? ''));
}
