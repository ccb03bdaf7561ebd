import { createHash } from 'node:crypto';
import { osFacts } from './catalogue.js';
import type { DemoHostProfile } from './roster.js';

function hex(seed: string, name: string, purpose: string): string {
  return createHash('sha256').update(`${seed}\n${name}\n${purpose}`).digest('hex');
}

function passwd(profile: DemoHostProfile): string {
  return [
    'root:x:0:0:root:/root:/bin/bash',
    'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin',
    'www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin',
    'sshd:x:105:65534::/run/sshd:/usr/sbin/nologin',
    `${profile.user}:x:1000:1000:${profile.name}:/home/${profile.user}:/bin/bash`,
    '',
  ].join('\n');
}

const roleFiles: Partial<Record<DemoHostProfile['role'], (profile: DemoHostProfile) => Record<string, string>>> = {
  web: (profile) => ({
    '/etc/nginx/nginx.conf': `user www-data;\nworker_processes ${profile.cpus};\nevents { worker_connections 1024; }\nhttp {\n  include /etc/nginx/sites-enabled/*;\n}\n`,
    '/etc/nginx/sites-enabled/default': `server {\n  listen 80;\n  server_name ${profile.name}.example.net;\n  root /var/www/html;\n}\n`,
    '/var/www/html/index.html': `<h1>${profile.name}</h1>\n`,
    '/var/log/nginx/access.log': '10.9.0.7 - - "GET / HTTP/1.1" 200 31\n10.9.0.9 - - "GET /health HTTP/1.1" 200 3\n',
    '/var/log/nginx/error.log': '',
  }),
  app: (profile) => ({ '/etc/orders/orders.yaml': `listen: ${profile.address}:8080\nworkers: ${profile.cpus * 2}\n` }),
  db: (profile) => ({
    '/etc/postgresql/postgresql.conf': `listen_addresses = '${profile.address}'\nmax_connections = 300\nshared_buffers = ${Math.round(profile.memoryMiB / 4)}MB\n`,
  }),
  cache: (profile) => ({ '/etc/redis/redis.conf': `bind ${profile.address}\nmaxmemory ${Math.round(profile.memoryMiB * 0.75)}mb\n` }),
  print: (profile) => ({
    '/etc/cups/cupsd.conf': `ServerName ${profile.name}.example.net\nListen ${profile.address}:631\n`,
    '/etc/cups/printers.conf': '<Printer floor-1>\n  State Idle\n</Printer>\n<Printer floor-2>\n  State Idle\n</Printer>\n',
  }),
  backup: () => ({ '/srv/backup/README': 'Repositories lie in one folder a host.\n', '/etc/exports': '/srv/backup 10.0.0.0/8(rw,sync)\n' }),
  workstation: (profile) => ({ [`/home/${profile.user}/notes.txt`]: 'Order toner for floor 2.\n' }),
  monitoring: () => ({ '/etc/prometheus/prometheus.yml': 'global:\n  scrape_interval: 15s\n' }),
  gateway: (profile) => ({ '/etc/nftables.conf': 'table inet filter {\n  chain input { type filter hook input priority 0; policy drop; }\n}\n', '/etc/frr/frr.conf': `hostname ${profile.name}\n` }),
  mail: (profile) => ({ '/etc/postfix/main.cf': `myhostname = ${profile.name}.example.net\n` }),
  git: (profile) => ({ '/etc/forgejo/app.ini': `APP_NAME = ${profile.name}\n` }),
}; // prettier-ignore

/** Files of a fresh host beyond the shell's own: path -> text. `seed` distinguishes estates. */
export function imageFiles(profile: DemoHostProfile, seed: string): Record<string, string> {
  const os = osFacts[profile.os];
  const short = profile.name.slice(0, profile.name.indexOf('.'));
  const serial = `DM-${profile.site.toUpperCase()}-${hex(seed, profile.name, 'serial').slice(0, 8).toUpperCase()}`;
  return {
    '/etc/os-release': os.osRelease,
    '/etc/hostname': `${short}\n`,
    '/etc/hosts': `127.0.0.1 localhost\n${profile.address} ${profile.name}.example.net ${short}\n`,
    '/etc/machine-id': `${hex(seed, profile.name, 'machine').slice(0, 32)}\n`,
    '/etc/passwd': passwd(profile),
    '/etc/group': `root:x:0:\nsudo:x:27:${profile.user}\nwww-data:x:33:\n${profile.user}:x:1000:\n`,
    '/etc/resolv.conf': `nameserver ${profile.address.split('.').slice(0, 3).join('.')}.1\n`,
    '/etc/timezone':
      profile.site === 'lon' ? 'Europe/London\n' : profile.site === 'ams' ? 'Europe/Amsterdam\n' : 'Europe/Berlin\n',
    '/etc/motd': `${profile.name} (${profile.role}, demo)\n`,
    ...(profile.os === 'debian' ? { '/etc/debian_version': '12.8\n' } : {}),
    ...(profile.os === 'rocky' ? { '/etc/redhat-release': 'Rocky Linux release 9.5 (Blue Onyx)\n' } : {}),
    '/sys/class/dmi/id/product_serial': `${serial}\n`,
    '/sys/class/dmi/id/product_name': profile.kind === 'workstation' ? 'Demo Desk 3\n' : 'Demo Rack 7\n',
    '/sys/class/dmi/id/sys_vendor': 'Fettle Demo Works\n',
    '/sys/class/net/eth0/address': `${macAddress(profile, seed)}\n`,
    [`/home/${profile.user}/.profile`]: 'export PATH=/usr/local/bin:/usr/bin:/bin\n',
    ...roleFiles[profile.role]?.(profile),
  };
}

/** A locally administered MAC address. */
export function macAddress(profile: DemoHostProfile, seed: string): string {
  const digits = hex(seed, profile.name, 'mac').slice(0, 10);
  return `02:${digits.match(/../g)?.join(':') ?? ''}`;
}
