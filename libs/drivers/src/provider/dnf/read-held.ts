import { dnfCommands } from '@fettle/contracts';
import type { HostCommands } from '../provider.js';
import { must } from './must.js';
import { packageKey, packageSpec, parsePackages, type RpmPackage } from './parse-packages.js';

/** What is kept back on the host: by `excludepkgs` of dnf.conf or of a source, or by the versionlock plugin. */
interface Held {
  isHeld(key: string): boolean;
  /** Whether dnf would choose the version. */
  allows(one: RpmPackage): boolean;
}

/** Rules in one call, each a pattern. */
const RULES_A_CALL = 200;

/** Newer versions that the sources have, and what of them is kept back. */
export async function readUpgrades(
  commands: HostCommands,
  installed: readonly RpmPackage[],
): Promise<Held & { readonly upgrades: readonly RpmPackage[] }> {
  const visible = parsePackages(await must(commands, dnfCommands.upgrades));
  const offered = new Set(visible.map(packageSpec));
  const hides = (await commands.run(dnfCommands.excludes)).stdout.trim() !== '';
  const upgrades = hides ? parsePackages(await must(commands, dnfCommands.allUpgrades)) : visible;
  const shown = hides ? parsePackages(await must(commands, dnfCommands.notExcluded)) : installed;
  const keys = new Set(shown.map(packageKey));
  const excluded = new Set(installed.map(packageKey).filter((key) => !keys.has(key)));
  const { locked, allowed, banned } = await readLocks(commands);
  return {
    upgrades,
    isHeld: (key) => excluded.has(key) || locked.has(key),
    allows: (one) => {
      const spec = packageSpec(one);
      if (!offered.has(spec) || banned.has(spec)) return false;
      return !locked.has(packageKey(one)) || allowed.has(spec);
    },
  };
}

interface Locks {
  /** Packages of which only `allowed` may be installed. */
  readonly locked: ReadonlySet<string>;
  readonly allowed: ReadonlySet<string>;
  readonly banned: ReadonlySet<string>;
}

/** The versionlock plugin filters nothing but transactions: what its rules match is asked of dnf. Without it there are none. */
async function readLocks(commands: HostCommands): Promise<Locks> {
  const written = (await commands.run(dnfCommands.lockRules)).stdout.split('\n').map((line) => line.trim());
  // What versionlock.conf says as it comes is no rule.
  const plain = /^(?:|\[main\]|enabled *= *.*|locklist *= *\/etc\/dnf\/plugins\/versionlock\.list)$/;
  if (written.every((line) => plain.test(line))) return { locked: new Set(), allowed: new Set(), banned: new Set() };
  const listed = await commands.run(dnfCommands.locks);
  const rules = listed.exitCode === 0 ? listed.stdout.split('\n').map((line) => line.trim()) : [];
  // As dnf writes patterns of packages; never an option.
  const isRule = (rule: string): boolean => /^!?[A-Za-z0-9*?[][^\s]*$/.test(rule);
  const kept = await matching(commands, rules.filter((rule) => isRule(rule) && !rule.startsWith('!'))); // prettier-ignore
  const out = await matching(commands, rules.filter((rule) => isRule(rule) && rule.startsWith('!')).map((rule) => rule.slice(1))); // prettier-ignore
  return {
    locked: new Set(kept.map(packageKey)),
    allowed: new Set(kept.map(packageSpec)),
    banned: new Set(out.map(packageSpec)),
  };
}

async function matching(commands: HostCommands, rules: readonly string[]): Promise<RpmPackage[]> {
  const found: RpmPackage[] = [];
  for (let from = 0; from < rules.length; from += RULES_A_CALL) {
    const some = rules.slice(from, from + RULES_A_CALL);
    for (const command of [dnfCommands.matchingOffers, dnfCommands.matchingInstalled])
      found.push(...parsePackages(await must(commands, [...command, ...some])));
  }
  return found;
}
