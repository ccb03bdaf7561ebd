import type { SimulatedInstall } from '../provider.js';

/** What may be there several times over goes when it has become too many (`installonly_limit`). */
const KERNEL = /^kernel(?:-|$)/;
const MAX_REFUSAL_LINES = 12;
const COMING = ['installed', 'an upgrade', 'a downgrade', 'reinstalled', 'obsoleting'];

/**
 * Output of `dnf -v ... --assumeno`: it tells of each package in a line of its own (`---> Package app.noarch 1.1-1 will be an upgrade`),
 * and ends by "Operation aborted." where it would have begun. A package that is not there it leaves out, and goes on.
 */
export function parseSimulation(stdout: string, stderr: string, wanted: number): SimulatedInstall {
  const lines = [...stdout.matchAll(/^---> Package (\S+)\.([a-z0-9_]+) (\S+) will be (.+)$/gm)].map(
    ([, name = '', , version = '', what = '']) => ({ name, version, what: what.trim() }),
  );
  const of = (...kinds: string[]): string[] => lines.filter(({ what }) => kinds.includes(what)).map(({ name }) => name);
  const coming = lines.filter(({ what }) => COMING.includes(what));
  const versions = new Map(coming.map(({ name, version }) => [name, version]));
  const touched = [...versions.keys()];
  const gone = [...of('obsoleted'), ...of('erased').filter((name) => !KERNEL.test(name))];
  const missing = [...stdout.matchAll(/^(?:No match for argument: (\S+)|No package (\S+) available\.)$/gm)];
  const absent = missing.map(([, one, other]) => one ?? other ?? '');
  if (absent.length > 0)
    return {
      touched,
      versions,
      refusal: `no source offers ${absent.join(', ')}, or it is kept back`,
      blamed: absent.map(nameOf),
    };
  if (gone.length > 0) return { touched, versions, refusal: `it would remove ${[...new Set(gone)].join(', ')}` };
  const left = /^Skipping packages with /m.test(stdout);
  if (/Operation aborted/.test(`${stdout}\n${stderr}`) && !left && touched.length >= Math.min(1, wanted))
    return { touched, versions, refusal: null };
  const refusal = problemOf(stderr) || problemOf(stdout) || 'dnf would change nothing';
  return { touched, versions, refusal, blamed: blamedIn(refusal) };
}

/** `app-1:1.0-1.noarch` to `app`. */
function nameOf(spec: string): string {
  return spec.replace(/-[^-]+-[^-]+$/, '');
}

/** What dnf says after `Error:`, in one line. */
function problemOf(text: string): string {
  const [, said] = /(?:^|\n)Error: ?([\s\S]*)$/.exec(text) ?? [];
  const lines = (said ?? '').split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && line !== 'Operation aborted.' && !line.startsWith('(try to '))
    .slice(0, MAX_REFUSAL_LINES)
    .join(' ');
}

/** Packages that it names as those that it cannot do. */
function blamedIn(refusal: string): string[] {
  const best = refusal.matchAll(/cannot install the best (?:update )?candidate for package (\S+)\.[a-z0-9_]+/g);
  return [...new Set([...best].map((match) => nameOf(match[1] ?? '')))];
}
