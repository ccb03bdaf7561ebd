// What is asked of package managers, as argument vectors: shown by `plan` and sent by the providers.

/** So that what is parsed is in the words that the parser knows, whatever the host's language is; and nothing asks anybody anything. */
export const packageEnvironment = {
  LC_ALL: 'C',
  DEBIAN_FRONTEND: 'noninteractive',
  DEBIAN_PRIORITY: 'critical',
  APT_LISTCHANGES_FRONTEND: 'none',
  UCF_FORCE_CONFFOLD: '1',
  // Its own hook would run it after each call of dpkg; it is asked once at the end.
  NEEDRESTART_SUSPEND: '1',
} as const;

/** Fields of a package in the order of `apt.installed`. */
export const DPKG_FORMAT =
  '${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Want}\\t${db:Status-Status}\\t${db:Status-Eflag}\\n';

export const aptCommands = {
  version: ['apt-get', '--version'],
  architecture: ['dpkg', '--print-architecture'],
  installed: ['dpkg-query', '-W', `-f=${DPKG_FORMAT}`],
  /** A file with a number for a name is a change that dpkg has not written into its status. */
  journal: ['ls', '-1', '/var/lib/dpkg/updates'],
  /** The sources, by the words in which `apt-cache policy` tells of them. */
  sources: [
    'apt-get',
    'indextargets',
    '--format',
    '$(DESCRIPTION)\t$(ORIGIN)\t$(LABEL)\t$(SUITE)\t$(CODENAME)',
    'Created-By: Packages',
  ],
  /** A failure to reach one source is an error (apt 2.1.9; older ones only warn). */
  refresh: ['apt-get', 'update', '-q', '-o', 'APT::Update::Error-Mode=any', '-o', 'Acquire::Retries=2'],
  /** When the lists last changed, and when update-notifier-common last saw them read: seconds since 1970. */
  listsRead: ['stat', '-c', '%Y', '/var/lib/apt/periodic/update-success-stamp', '/var/lib/apt/lists'],
  uptime: ['cat', '/proc/uptime'],
  /** Followed by names. */
  policy: ['apt-cache', 'policy'],
  /** The same as it would be without pins and without a default release. Followed by names. */
  policyWithoutPins: [
    'apt-cache',
    '-o',
    'Dir::Etc::Preferences=/dev/null',
    '-o',
    'Dir::Etc::PreferencesParts=/dev/null',
    '-o',
    'APT::Default-Release=',
    'policy',
  ],
  rebootFile: ['test', '-e', '/run/reboot-required'],
  rebootPackages: ['cat', '/run/reboot-required.pkgs'],
  kernel: ['needrestart', '-b', '-k'],
  /** Who holds which lock of a file (util-linux). */
  locks: ['lslocks', '--json', '-o', 'COMMAND,PID,PATH'],
} as const satisfies Record<string, readonly string[]>;

/**
 * Installs exactly what follows, as `name:architecture=version`: waits for dpkg's lock, never asks, keeps configuration files that
 * were changed on the host, removes nothing.
 */
export function aptInstall(lockWaitSeconds: number): readonly string[] {
  return ['apt-get', 'install', ...aptOptions(lockWaitSeconds)];
}

/** Puts back older versions: what follows may be a downgrade. */
export function aptDowngrade(lockWaitSeconds: number): readonly string[] {
  return ['apt-get', 'install', '--allow-downgrades', ...aptOptions(lockWaitSeconds)];
}

/** The same as `aptInstall` and as `aptDowngrade`, and only says what it would do. */
export const aptSimulate: readonly string[] = ['apt-get', '-s', 'install', ...aptOptions(0)];
export const aptSimulateDowngrade: readonly string[] = [
  'apt-get',
  '-s',
  'install',
  '--allow-downgrades',
  ...aptOptions(0),
];

function aptOptions(lockWaitSeconds: number): string[] {
  return [
    '--yes',
    '-q',
    '--no-remove',
    '--no-install-recommends',
    '--only-upgrade',
    '-o',
    'Dpkg::Options::=--force-confdef',
    '-o',
    'Dpkg::Options::=--force-confold',
    '-o',
    'Dpkg::Use-Pty=0',
    '-o',
    `DPkg::Lock::Timeout=${lockWaitSeconds}`,
  ];
}
