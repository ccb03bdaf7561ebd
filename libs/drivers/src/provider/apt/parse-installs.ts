/** A package that would be installed, as far as the simulation tells it; what it does not tell is empty. */
export interface SimulatedPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
}

/** What apt would install: `Inst lib:i386 [1.0] (2.0 Debian:12/stable [i386])`, where `[1.0]` is what is there. */
export function parseInstalls(stdout: string): readonly SimulatedPackage[] {
  return [...stdout.matchAll(/^Inst ([^\s:]+)(.*)$/gm)].map(([, name = '', rest = '']) => ({
    name,
    architecture: /\[([a-z0-9-]+)\]\)/.exec(rest)?.[1] ?? '',
    version: /\((\S+)/.exec(rest)?.[1] ?? '',
  }));
}
