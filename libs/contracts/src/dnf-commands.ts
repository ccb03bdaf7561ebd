// What is asked of dnf (version 4) and rpm, as argument vectors: shown by `plan` and sent by the provider.

/** Another dnf that holds a lock ends it at once (exit code 200): waiting is done here, where it can be called off. */
const NO_WAITING = '--setopt=exit_on_lock=True';
const QUIET = ['dnf', '-q', NO_WAITING];
/** Believes what the host knows of its sources. */
const KNOWN = [...QUIET, '-C'];
/** Needs nothing of the sources, so that a host that has never read them answers too. */
const NO_SOURCES = [...QUIET, '--disablerepo=*'];

/** Name, architecture and version with epoch, between tabs, as dnf writes them; an epoch of 0 is not written. */
const OFFER_FORMAT = '%{name}\\t%{arch}\\t%{evr}';

/** Packages whose newer version serves only once the host has booted (access.redhat.com/solutions/27943), and those of Fedora's plugin. */
const BOOT_PACKAGES = [
  'kernel',
  'kernel-rt',
  'glibc',
  'linux-firmware',
  'microcode_ctl',
  'systemd',
  'dbus',
  'dbus-broker',
  'dbus-daemon',
];

/** Files that hold the number of the process that has the lock (dnf's lock.py). */
export const dnfLockFiles = [
  '/var/cache/dnf/metadata_lock.pid',
  '/var/cache/dnf/download_lock.pid',
  '/var/lib/dnf/rpmdb_lock.pid',
] as const;

export const dnfCommands = {
  version: ['dnf', '--version'],
  /** An rpm that is itself installed as an rpm: it is the host's own package manager. */
  owner: ['rpm', '-q', 'rpm'],
  installed: [
    'rpm',
    '-qa',
    '--qf',
    '%{NAME}\\t%{ARCH}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{INSTALLTIME}\\n',
  ],
  /** Whether anything may be hidden: asked before dnf is, which takes a second a call. Sources may be looked for elsewhere (`reposdir`). */
  excludes: [
    'grep',
    '-rhsEi',
    '^[[:space:]]*(exclude|excludepkgs|includepkgs|reposdir)[[:space:]]*=',
    '/etc/dnf/dnf.conf',
    '/etc/yum.repos.d',
    '/etc/yum/repos.d',
    '/etc/distro.repos.d',
  ],
  /** Rules of the versionlock plugin, and where they are kept if not there. */
  lockRules: [
    'grep',
    '-hsE',
    '^[^#[:space:]]',
    '/etc/dnf/plugins/versionlock.list',
    '/etc/dnf/plugins/versionlock.conf',
  ],
  /** Installed twice, which an upgrade that was cut off leaves; what may be there several times (kernels) is left out. */
  duplicates: [...NO_SOURCES, 'repoquery', '--duplicates', '--qf', OFFER_FORMAT],
  /** The latest that were begun: one that was cut off may not be the last any more. */
  lastTransactions: [...NO_SOURCES, 'history', 'info', 'last', 'last-1', 'last-2', 'last-3', 'last-4'],
  /** Followed by packages: files that are not as the package has them. */
  verify: [
    'rpm',
    '-V',
    '--nodeps',
    '--noscripts',
    '--noconfig',
    '--noghost',
    '--nomtime',
    '--nouser',
    '--nogroup',
    '--nomode',
    '--nocaps',
  ],
  upgrades: [...KNOWN, 'repoquery', '--upgrades', '--qf', OFFER_FORMAT],
  /** With those that `excludepkgs` hides. */
  allUpgrades: [...KNOWN, '--disableexcludes=all', 'repoquery', '--upgrades', '--qf', OFFER_FORMAT],
  /** `excludepkgs` hides installed packages as well. */
  notExcluded: [...NO_SOURCES, 'repoquery', '--installed', '--qf', OFFER_FORMAT],
  locks: [...NO_SOURCES, 'versionlock', 'list'],
  /** Followed by what `locks` says. */
  matchingOffers: [...KNOWN, '--disableexcludes=all', 'repoquery', '--qf', OFFER_FORMAT],
  matchingInstalled: [...NO_SOURCES, '--disableexcludes=all', 'repoquery', '--installed', '--qf', OFFER_FORMAT],
  /** Advisories of newer versions of what is installed. */
  advisories: [...KNOWN, '--disableexcludes=all', 'updateinfo', 'list'],
  /** How many advisories of what kind the sources have of what is installed. */
  advisorySummary: [...KNOWN, '--disableexcludes=all', 'updateinfo', 'summary', '--all'],
  sources: [...KNOWN, 'repolist', '--enabled'],
  /** When the lists of each source were last known to be the newest: seconds since 1970. */
  listsRead: ['find', '/var/cache/dnf', '-maxdepth', '3', '-path', '*/repodata/*primary.xml*', '-printf', '%T@ %P\\n'],
  uptime: ['cat', '/proc/uptime'],
  /** A source that cannot be reached is an error, also where it may be skipped otherwise. */
  refresh: [...QUIET, '-y', 'makecache', '--refresh', '--setopt=*.skip_if_unavailable=False', '--setopt=retries=2'],
  rebootHint: [...NO_SOURCES, 'needs-restarting', '-r'],
  /** Names of packages that an administrator has added to those that ask for a reboot. */
  moreBootPackages: ['grep', '-rhsE', '^[A-Za-z0-9]', '/etc/dnf/plugins/needs-restarting.d'],
  bootPackages: ['rpm', '-q', '--qf', '%{NAME}\\t%{INSTALLTIME}\\n', ...BOOT_PACKAGES],
  /** Installed kernels, as `uname -r` names them. */
  kernels: ['rpm', '-qa', '--qf', '%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\n', 'kernel*core'],
  kernel: ['uname', '-r'],
  lockFiles: ['grep', '-H', '', ...dnfLockFiles],
  /** Followed by numbers of processes, between commas. */
  processes: ['ps', '-o', 'pid=,comm=', '-p'],
  /** Who holds rpm's own lock (util-linux). */
  rpmLock: ['lslocks', '--json', '-o', 'COMMAND,PID,PATH'],
} as const satisfies Record<string, readonly string[]>;

/** Never asks; takes exactly what is named or nothing of it; adds nothing that is only recommended; believes the lists that the choice went by. */
const CHANGE_OPTIONS = [
  '--setopt=best=True',
  '--setopt=skip_broken=False',
  '--setopt=install_weak_deps=False',
  '--setopt=clean_requirements_on_remove=False',
  '--setopt=*.metadata_expire=-1',
  NO_WAITING,
];

/** Installs exactly what follows, as `name-version.architecture`: an older version is no upgrade. rpm keeps changed configuration files. */
export const dnfInstall: readonly string[] = ['dnf', 'upgrade', '-y', ...CHANGE_OPTIONS];
/** Puts back older versions, and only these. */
export const dnfDowngrade: readonly string[] = ['dnf', 'downgrade', '-y', ...CHANGE_OPTIONS];

/** The same as `dnfInstall` and as `dnfDowngrade`, and only says what it would do; with a line for each package. */
export const dnfSimulate: readonly string[] = ['dnf', '-v', 'upgrade', '--assumeno', ...CHANGE_OPTIONS];
export const dnfSimulateDowngrade: readonly string[] = ['dnf', '-v', 'downgrade', '--assumeno', ...CHANGE_OPTIONS];

/** What reads the state of a host with dnf. */
export const dnfScanCommands: readonly (readonly string[])[] = [
  dnfCommands.installed,
  dnfCommands.duplicates,
  dnfCommands.lastTransactions,
  dnfCommands.upgrades,
  dnfCommands.excludes,
  dnfCommands.allUpgrades,
  dnfCommands.notExcluded,
  dnfCommands.lockRules,
  dnfCommands.locks,
  dnfCommands.advisories,
  dnfCommands.advisorySummary,
  dnfCommands.sources,
  dnfCommands.listsRead,
  dnfCommands.uptime,
  dnfCommands.moreBootPackages,
  dnfCommands.bootPackages,
  dnfCommands.rebootHint,
  dnfCommands.kernels,
  dnfCommands.kernel,
];
