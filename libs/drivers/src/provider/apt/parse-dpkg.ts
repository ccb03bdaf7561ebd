import type { HostPackage, PackageState } from '@fettle/contracts';

/** dpkg(1), "Package states", to ours; what is not there, or only as configuration files, has none. */
const states: Readonly<Record<string, PackageState>> = {
  installed: 'installed',
  unpacked: 'unpacked',
  'half-configured': 'half-configured',
  'half-installed': 'half-installed',
  'triggers-awaited': 'triggers-pending',
  'triggers-pending': 'triggers-pending',
};

/** Packages that are (partly) there, from `dpkg-query -W` in the format `DPKG_FORMAT`; a line of another form is left out. */
export function parseDpkgPackages(text: string): HostPackage[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', architecture = '', version = '', want = '', status = '', flag] = line.split('\t');
    const state = states[status];
    if (state === undefined || flag === undefined || version === '') return [];
    return [{ name, architecture, version, state, isHeld: want === 'hold' }];
  });
}
