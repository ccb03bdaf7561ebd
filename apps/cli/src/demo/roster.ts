import { createHash } from 'node:crypto';
import type { AssetKind, Criticality } from '@fettle/contracts';

export type DemoSite = 'ber' | 'ams' | 'lon';
export type DemoOs = 'debian' | 'ubuntu' | 'rocky';
export type DemoRole =
  'web' | 'app' | 'db' | 'cache' | 'print' | 'backup' | 'workstation' | 'monitoring' | 'gateway' | 'mail' | 'git';
/** What is wrong with a host on purpose, so that a first run shows more than success. */
export type DemoFlaw = 'unreachable' | 'disk-full' | 'host-key-changed';

/** What a demo host is made of; everything that a host does not remember by itself follows from this. */
export interface DemoHostProfile {
  /** Host name with its site, e.g. `web-01.ber`. */
  readonly name: string;
  readonly kind: AssetKind;
  readonly site: DemoSite;
  readonly role: DemoRole;
  readonly os: DemoOs;
  readonly env: 'prod' | 'staging' | 'office';
  readonly owner: string;
  readonly criticality: Criticality;
  /** Login name of the host's only ordinary user. */
  readonly user: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly diskGiB: number;
  readonly diskUsedPercent: number;
  readonly uptimeDays: number;
  /** Address inside the simulated network; the SSH server itself listens on 127.0.0.1. */
  readonly address: string;
  readonly flaw?: DemoFlaw;
}

interface RoleDefaults {
  readonly kind: AssetKind;
  readonly owner: string;
  readonly criticality: Criticality;
  readonly env: DemoHostProfile['env'];
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly diskGiB: number;
}

const roleDefaults: Readonly<Record<DemoRole, RoleDefaults>> = {
  web: { kind: 'server', owner: 'web', criticality: 'high', env: 'prod', cpus: 4, memoryMiB: 8192, diskGiB: 80 },
  app: { kind: 'server', owner: 'platform', criticality: 'high', env: 'prod', cpus: 8, memoryMiB: 16384, diskGiB: 120 },
  db: { kind: 'server', owner: 'data', criticality: 'critical', env: 'prod', cpus: 16, memoryMiB: 65536, diskGiB: 960 },
  cache: {
    kind: 'server',
    owner: 'platform',
    criticality: 'medium',
    env: 'prod',
    cpus: 4,
    memoryMiB: 32768,
    diskGiB: 40,
  },
  print: {
    kind: 'server',
    owner: 'workplace',
    criticality: 'medium',
    env: 'office',
    cpus: 2,
    memoryMiB: 4096,
    diskGiB: 60,
  },
  backup: {
    kind: 'server',
    owner: 'storage',
    criticality: 'critical',
    env: 'prod',
    cpus: 4,
    memoryMiB: 16384,
    diskGiB: 4000,
  },
  workstation: {
    kind: 'workstation',
    owner: 'workplace',
    criticality: 'low',
    env: 'office',
    cpus: 8,
    memoryMiB: 32768,
    diskGiB: 500,
  },
  monitoring: {
    kind: 'server',
    owner: 'platform',
    criticality: 'high',
    env: 'prod',
    cpus: 4,
    memoryMiB: 16384,
    diskGiB: 250,
  },
  gateway: {
    kind: 'network-device',
    owner: 'network',
    criticality: 'critical',
    env: 'prod',
    cpus: 2,
    memoryMiB: 2048,
    diskGiB: 16,
  },
  mail: {
    kind: 'virtual-machine',
    owner: 'workplace',
    criticality: 'high',
    env: 'prod',
    cpus: 4,
    memoryMiB: 8192,
    diskGiB: 200,
  },
  git: {
    kind: 'virtual-machine',
    owner: 'platform',
    criticality: 'high',
    env: 'prod',
    cpus: 8,
    memoryMiB: 16384,
    diskGiB: 400,
  },
};

type Row = readonly [name: string, role: DemoRole, os: DemoOs, more?: Partial<DemoHostProfile>];

const rows: readonly Row[] = [
  ['web-01.ber', 'web', 'debian'],
  ['web-02.ber', 'web', 'debian'],
  ['web-03.ams', 'web', 'debian'],
  ['web-04.ams', 'web', 'ubuntu', { env: 'staging', criticality: 'low' }],
  ['app-01.ber', 'app', 'ubuntu'],
  ['app-02.ams', 'app', 'ubuntu'],
  ['app-03.lon', 'app', 'ubuntu', { flaw: 'host-key-changed' }],
  ['app-04.lon', 'app', 'rocky', { env: 'staging', criticality: 'low' }],
  ['db-01.ber', 'db', 'debian'],
  ['db-02.ams', 'db', 'debian', { flaw: 'disk-full', diskUsedPercent: 97 }],
  ['db-03.lon', 'db', 'rocky'],
  ['cache-01.ber', 'cache', 'debian'],
  ['cache-02.ams', 'cache', 'rocky'],
  ['print-01.ber', 'print', 'debian'],
  ['print-02.lon', 'print', 'ubuntu', { flaw: 'unreachable' }],
  ['backup-01.ber', 'backup', 'debian', { diskUsedPercent: 81 }],
  ['backup-02.ams', 'backup', 'rocky', { diskUsedPercent: 76 }],
  ['ws-anna.ber', 'workstation', 'ubuntu'],
  ['ws-bilal.ams', 'workstation', 'ubuntu'],
  ['ws-chloe.lon', 'workstation', 'ubuntu'],
  ['mon-01.ber', 'monitoring', 'debian'],
  ['gw-01.ber', 'gateway', 'debian'],
  ['gw-02.ams', 'gateway', 'debian'],
  ['mail-01.lon', 'mail', 'rocky'],
  ['git-01.ams', 'git', 'rocky'],
];

const siteNetwork: Readonly<Record<DemoSite, number>> = { ber: 10, ams: 20, lon: 30 };

/** A number from 0 to `below - 1` that depends on the host and the purpose only, so that hosts differ but stay the same. */
export function hostNumber(name: string, purpose: string, below: number): number {
  return createHash('sha256').update(`${purpose}\n${name}`).digest().readUInt32BE(0) % below;
}

function profile([name, role, os, more]: Row, index: number): DemoHostProfile {
  const site = name.slice(name.lastIndexOf('.') + 1) as DemoSite;
  const short = name.slice(0, name.indexOf('.'));
  return {
    name,
    role,
    os,
    site,
    ...roleDefaults[role],
    user: `ops-${short}`,
    diskUsedPercent: 18 + hostNumber(name, 'disk', 55),
    uptimeDays: 1 + hostNumber(name, 'uptime', 240),
    address: `10.${siteNetwork[site]}.${role === 'workstation' ? 8 : 4}.${11 + index}`,
    ...more,
  };
}

/** The demo estate: 25 hosts in three sites, of which 24 speak SSH and three are flawed. */
export const demoRoster: readonly DemoHostProfile[] = rows.map(profile);
