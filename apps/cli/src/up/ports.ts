import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { FettleError } from '@fettle/contracts';
import { identifyProcess } from './process-identity.js';

export const LOOPBACK = '127.0.0.1';

export function isPortFree(port: number, host: string = LOOPBACK): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

// Below the ports that the kernel hands to outgoing connections: one of those could take a remembered port while the stack
// is down, or a chosen one before its server listens.
const FIRST_PORT = 10_000;
const LAST_PORT = 19_999;
const MAX_TRIES = 200;

/** The preferred port when it is free, otherwise another free one between 10000 and 19999. */
export async function findFreePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && preferred > 0 && (await isPortFree(preferred))) return preferred;
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (await isPortFree(port)) return port;
  }
  throw new FettleError({
    code: 'no-free-port',
    message: `no free port between ${FIRST_PORT} and ${LAST_PORT} on ${LOOPBACK} after ${MAX_TRIES} tries`,
    remedy: 'See with `ss -ltn` what holds them.',
  });
}

export function canConnect(host: string, port: number, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (ok: boolean): void => {
      socket.destroy();
      resolve(ok);
    };
    socket.setTimeout(timeoutMs, () => finish(false));
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}

/** Inodes of the sockets that listen on a port, from the text of /proc/net/tcp or tcp6 (proc(5): st 0A is LISTEN). */
export function listeningInodes(table: string, port: number): string[] {
  const inodes: string[] = [];
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const localPort = fields[1]?.split(':')[1];
    const inode = fields[9];
    if (fields[3] === '0A' && localPort !== undefined && inode !== undefined && parseInt(localPort, 16) === port) {
      inodes.push(inode);
    }
  }
  return inodes;
}

/** Who listens on a port, e.g. `process 4711 (python3 -m http.server 7070)`; undefined where it cannot be known. */
export function describePortHolder(port: number): string | undefined {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => listeningInodes(readText(path), port)));
  if (inodes.size === 0) return undefined;
  const wanted = new Set([...inodes].map((inode) => `socket:[${inode}]`));
  for (const entry of listFolder('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const holds = listFolder(`/proc/${entry}/fd`).some((fd) => wanted.has(readLink(`/proc/${entry}/fd/${fd}`)));
    if (!holds) continue;
    const commandLine = identifyProcess(Number(entry))?.commandLine ?? '';
    return `process ${entry}${commandLine === '' ? '' : ` (${commandLine.slice(0, 120)})`}`;
  }
  return undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
