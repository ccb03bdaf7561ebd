import {
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

/** Finds what of a selection can be installed, by halves: where all of it can, as nearly always, the host is asked once. */
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
    const refusal = await this.refusal(updates);
    if (refusal === null) return updates;
    const [first] = updates;
    if (updates.length === 1 && first !== undefined) {
      this.skipped.push({ name: first.name, version: first.to, reason: 'needs-other', detail: refusal.slice(0, 500) });
      return [];
    }
    const middle = Math.ceil(updates.length / 2);
    const halves = [...(await this.of(updates.slice(0, middle))), ...(await this.of(updates.slice(middle)))];
    // Each half can be, and perhaps not both; then the first goes, and the next installation sees to the rest.
    return halves.length === updates.length ? halves.slice(0, middle) : halves;
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
