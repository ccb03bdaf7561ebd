import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** `address:port` of each TCP socket on which a process or a descendant listens: proc(5), net/tcp and net/tcp6. */
export function listenersOf(pid: number): string[] {
  const inodes = new Set(withDescendants(pid).flatMap(socketInodes));
  const found = ['tcp', 'tcp6'].flatMap((table) => {
    const rows = readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1);
    return rows.flatMap((row) => {
      const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/\s+/);
      return state === LISTEN && inodes.has(inode) ? [addressOf(local)] : [];
    });
  });
  return [...new Set(found)].sort();
}

const LISTEN = '0A';

/** `0100007F:1F90`: words of four bytes in the order of the machine (little-endian on all that Fettle runs on). */
function addressOf(local: string): string {
  const [hex = '', port = ''] = local.split(':');
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex')].reverse());
  const address =
    bytes.length === 4
      ? bytes.join('.')
      : `[${new URL(`http://[${(Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? []).join(':')}]`).hostname.slice(1, -1)}]`;
  return `${address}:${parseInt(port, 16)}`;
}

function withDescendants(pid: number): number[] {
  const children = readText(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(withDescendants)];
}

function socketInodes(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? [];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
