import { hostNumber, type DemoHostProfile, type DemoOs, type DemoRole } from './roster.js';

export interface PackageState {
  version: string;
  /** Version that the host's repositories offer; equal to `version` when there is nothing to upgrade. */
  candidate: string;
  held: boolean;
  installed: boolean;
}

export interface ServiceState {
  description: string;
  active: boolean;
  failed: boolean;
  enabled: boolean;
  sinceMs: number;
  mainPid: number;
}

export interface OsFacts {
  readonly id: string;
  readonly prettyName: string;
  readonly osRelease: string;
  readonly kernel: string;
  readonly packageManager: 'apt' | 'dnf';
}

function osRelease(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${/^[a-z0-9.]+$/.test(value) ? value : `"${value}"`}\n`)
    .join('');
}

export const osFacts: Readonly<Record<DemoOs, OsFacts>> = {
  debian: {
    id: 'debian',
    prettyName: 'Debian GNU/Linux 12 (bookworm)',
    kernel: '6.1.0-28-amd64',
    packageManager: 'apt',
    osRelease: osRelease({
      PRETTY_NAME: 'Debian GNU/Linux 12 (bookworm)',
      NAME: 'Debian GNU/Linux',
      VERSION_ID: '12',
      VERSION: '12 (bookworm)',
      VERSION_CODENAME: 'bookworm',
      ID: 'debian',
      HOME_URL: 'https://www.debian.org/',
    }),
  },
  ubuntu: {
    id: 'ubuntu',
    prettyName: 'Ubuntu 24.04.1 LTS',
    kernel: '6.8.0-49-generic',
    packageManager: 'apt',
    osRelease: osRelease({
      PRETTY_NAME: 'Ubuntu 24.04.1 LTS',
      NAME: 'Ubuntu',
      VERSION_ID: '24.04',
      VERSION: '24.04.1 LTS (Noble Numbat)',
      VERSION_CODENAME: 'noble',
      ID: 'ubuntu',
      ID_LIKE: 'debian',
      UBUNTU_CODENAME: 'noble',
    }),
  },
  rocky: {
    id: 'rocky',
    prettyName: 'Rocky Linux 9.5 (Blue Onyx)',
    kernel: '5.14.0-503.14.1.el9_5.x86_64',
    packageManager: 'dnf',
    osRelease: osRelease({
      NAME: 'Rocky Linux',
      VERSION: '9.5 (Blue Onyx)',
      ID: 'rocky',
      ID_LIKE: 'rhel centos fedora',
      VERSION_ID: '9.5',
      PLATFORM_ID: 'platform:el9',
      PRETTY_NAME: 'Rocky Linux 9.5 (Blue Onyx)',
    }),
  },
};

/** name, installed version, newer version in the repositories (or none) for each distribution family. */
type Offer = readonly [name: string, version: string, candidate?: string];

const aptBase: readonly Offer[] = [
  ['adduser', '3.134'],
  ['apt', '2.6.1'],
  ['base-files', '12.4+deb12u7', '12.4+deb12u8'],
  ['bash', '5.2.15-2+b7'],
  ['ca-certificates', '20230311'],
  ['coreutils', '9.1-1'],
  ['cron', '3.0pl1-162'],
  ['curl', '7.88.1-10+deb12u7', '7.88.1-10+deb12u8'],
  ['dbus', '1.14.10-1~deb12u1'],
  ['dpkg', '1.21.22'],
  ['grep', '3.8-5'],
  ['gzip', '1.12-1'],
  ['iproute2', '6.1.0-3'],
  ['libc6', '2.36-9+deb12u8', '2.36-9+deb12u9'],
  ['libssl3', '3.0.14-1~deb12u2', '3.0.15-1~deb12u1'],
  ['openssh-server', '1:9.2p1-2+deb12u3'],
  ['openssl', '3.0.14-1~deb12u2', '3.0.15-1~deb12u1'],
  ['perl-base', '5.36.0-7+deb12u1'],
  ['procps', '2:4.0.2-3'],
  ['python3', '3.11.2-1+b1'],
  ['rsyslog', '8.2302.0-1'],
  ['sudo', '1.9.13p3-1+deb12u1'],
  ['systemd', '252.30-1~deb12u2', '252.31-1~deb12u1'],
  ['tzdata', '2024a-0+deb12u1', '2024b-0+deb12u1'],
  ['util-linux', '2.38.1-5+deb12u1'],
];

const dnfBase: readonly Offer[] = [
  ['bash', '5.1.8-9.el9'],
  ['ca-certificates', '2024.2.69_v8.0.303-91.4.el9_4'],
  ['chrony', '4.5-3.el9'],
  ['coreutils', '8.32-36.el9'],
  ['cronie', '1.5.7-11.el9'],
  ['curl', '7.76.1-29.el9_4.1', '7.76.1-31.el9'],
  ['dnf', '4.14.0-17.el9'],
  ['glibc', '2.34-100.el9_4.4', '2.34-125.el9_5.1'],
  ['grep', '3.6-5.el9'],
  ['gzip', '1.12-1.el9'],
  ['iproute', '6.2.0-6.el9_4'],
  ['openssh-server', '8.7p1-43.el9'],
  ['openssl', '1:3.0.7-28.el9_4', '1:3.2.2-6.el9_5'],
  ['procps-ng', '3.3.17-14.el9'],
  ['python3', '3.9.21-1.el9_5'],
  ['rpm', '4.16.1.3-34.el9'],
  ['rsyslog', '8.2310.0-4.el9'],
  ['sudo', '1.9.5p2-10.el9_3'],
  ['systemd', '252-46.el9_5.2', '252-46.el9_5.3'],
  ['tzdata', '2024b-2.el9'],
  ['util-linux', '2.37.4-20.el9'],
];

interface RoleParts {
  readonly apt: readonly Offer[];
  readonly dnf: readonly Offer[];
  /** unit name without `.service` -> description; on Rocky the second name is used where it differs. */
  readonly services: readonly (readonly [unit: string, description: string, rockyUnit?: string])[];
}

export const roleParts: Readonly<Record<DemoRole, RoleParts>> = {
  web: {
    apt: [['nginx', '1.22.1-9', '1.22.1-9+deb12u1'], ['certbot', '2.1.0-4']],
    dnf: [['nginx', '2:1.20.1-20.el9.0.1']],
    services: [['nginx', 'A high performance web server and a reverse proxy server']],
  },
  app: {
    apt: [['openjdk-17-jre-headless', '17.0.12+7-2~deb12u1', '17.0.13+11-2~deb12u1'], ['orders', '4.11.2', '4.12.0']],
    dnf: [['java-17-openjdk-headless', '1:17.0.13.0.11-4.el9'], ['orders', '4.11.2-1', '4.12.0-1']],
    services: [['orders', 'Orders application server']],
  },
  db: {
    apt: [['postgresql-15', '15.8-0+deb12u1', '15.10-0+deb12u1'], ['pgbackrest', '2.44-1']],
    dnf: [['postgresql-server', '13.16-1.el9_4', '13.18-1.el9_5'], ['pgbackrest', '2.53.1-1.el9']],
    services: [['postgresql', 'PostgreSQL database server']],
  },
  cache: {
    apt: [['redis-server', '5:7.0.15-1~deb12u1', '5:7.0.15-1~deb12u2']],
    dnf: [['redis', '6.2.7-1.el9', '6.2.16-1.el9']],
    services: [['redis-server', 'Advanced key-value store', 'redis']],
  },
  print: {
    apt: [['cups', '2.4.2-3+deb12u7', '2.4.2-3+deb12u8'], ['cups-filters', '1.28.17-3+deb12u1']],
    dnf: [['cups', '1:2.3.3op2-27.el9']],
    services: [['cups', 'CUPS Scheduler'], ['cups-browsed', 'Make remote CUPS printers available locally']],
  },
  backup: {
    apt: [['restic', '0.14.0-1+b5'], ['nfs-kernel-server', '1:2.6.2-4']],
    dnf: [['restic', '0.17.3-1.el9'], ['nfs-utils', '1:2.5.4-27.el9']],
    services: [['nfs-server', 'NFS server and services'], ['restic-rest', 'Restic REST server']],
  },
  workstation: {
    apt: [['gdm3', '46.2-1ubuntu1'], ['firefox', '1:1snap1-0ubuntu5'], ['libreoffice-core', '4:24.2.5-0ubuntu0.24.04.2', '4:24.2.7-0ubuntu0.24.04.1']],
    dnf: [['gdm', '1:40.1-30.el9']],
    services: [['gdm', 'GNOME Display Manager'], ['NetworkManager', 'Network Manager']],
  },
  monitoring: {
    apt: [['prometheus', '2.42.0+ds-5+b5'], ['prometheus-alertmanager', '0.25.0+ds-1+b5']],
    dnf: [['prometheus', '2.53.3-1.el9']],
    services: [['prometheus', 'Monitoring system and time series database'], ['prometheus-alertmanager', 'Alertmanager for Prometheus']],
  },
  gateway: {
    apt: [['frr', '8.4.4-1.1~deb12u1'], ['nftables', '1.0.6-2+deb12u2'], ['unbound', '1.17.1-2+deb12u2']],
    dnf: [['frr', '8.5.3-4.el9']],
    services: [['frr', 'FRRouting'], ['nftables', 'nftables'], ['unbound', 'Unbound DNS server']],
  },
  mail: {
    apt: [['postfix', '3.7.11-0+deb12u1'], ['dovecot-core', '1:2.3.19.1+dfsg1-2.1+deb12u1']],
    dnf: [['postfix', '2:3.5.25-1.el9'], ['dovecot', '1:2.3.16-14.el9']],
    services: [['postfix', 'Postfix Mail Transport Agent'], ['dovecot', 'Dovecot IMAP/POP3 email server']],
  },
  git: {
    apt: [['forgejo', '9.0.1']],
    dnf: [['forgejo', '9.0.1-1'], ['git-core', '2.43.5-2.el9_5']],
    services: [['forgejo', 'Forgejo']],
  },
}; // prettier-ignore

/** Packages that can be installed although no host has them at first. */
const installable: Readonly<Record<'apt' | 'dnf', readonly Offer[]>> = {
  apt: [['htop', '3.2.2-2'], ['jq', '1.6-2.1'], ['rsync', '3.2.7-1'], ['tree', '2.1.0-1'], ['vim', '2:9.0.1378-2'], ['unattended-upgrades', '2.9.1+nmu3']],
  dnf: [['htop', '3.3.0-1.el9'], ['jq', '1.6-17.el9'], ['rsync', '3.2.3-20.el9'], ['tree', '1.8.0-10.el9'], ['vim-enhanced', '2:8.2.2637-21.el9']],
}; // prettier-ignore

/** The packages of a fresh host, by name. */
export function initialPackages(profile: DemoHostProfile): Record<string, PackageState> {
  const manager = osFacts[profile.os].packageManager;
  const packages: Record<string, PackageState> = {};
  const base = manager === 'apt' ? aptBase : dnfBase;
  for (const [name, version, candidate] of [...base, ...roleParts[profile.role][manager]]) {
    const isCurrent = hostNumber(profile.name, `package ${name}`, 3) === 0;
    packages[name] = {
      version: candidate !== undefined && isCurrent ? candidate : version,
      candidate: candidate ?? version,
      held: false,
      installed: true,
    };
  }
  for (const [name, version] of installable[manager]) {
    packages[name] = { version, candidate: version, held: false, installed: hostNumber(profile.name, name, 3) === 0 };
  }
  return packages;
}

/** The services of a fresh host by unit name (with `.service`), all running since boot. */
export function initialServices(profile: DemoHostProfile, bootedAtMs: number): Record<string, ServiceState> {
  const rocky = profile.os === 'rocky';
  const units: (readonly [string, string, string?])[] = [
    ['ssh', 'OpenBSD Secure Shell server', 'sshd'],
    ['cron', 'Regular background program processing daemon', 'crond'],
    ['rsyslog', 'System Logging Service'],
    ['dbus', 'D-Bus System Message Bus', 'dbus-broker'],
    ['systemd-journald', 'Journal Service'],
    ...roleParts[profile.role].services,
  ];
  return Object.fromEntries(
    units.map(([unit, description, rockyUnit], index) => [
      `${rocky ? (rockyUnit ?? unit) : unit}.service`,
      {
        description,
        active: true,
        failed: false,
        enabled: true,
        sinceMs: bootedAtMs + 2000 + index * 150,
        mainPid: 400 + index * 37 + hostNumber(profile.name, unit, 30),
      },
    ]),
  );
}
