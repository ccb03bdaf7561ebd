import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { ensureDebianPackages } from './debian-packages.js';

const run = promisify(execFile);

/** A network of its own, with one address that we reach; its loopback only it reaches itself. */
export interface NetworkNamespace {
  readonly name: string;
  readonly address: string;
  remove(): Promise<void>;
}

/** Takes two of the addresses that RFC 2544 keeps for tests (198.18.0.0/15). */
export async function addNetworkNamespace(): Promise<NetworkNamespace> {
  await ensureDebianPackages(['iproute2']);
  const id = randomBytes(3).toString('hex');
  const [name, outside, inside] = [`fettle-${id}`, `fto${id}`, `fti${id}`];
  const network = `198.18.${randomBytes(1)[0]!}.${randomBytes(1)[0]! & 0xfc}`;
  const at = (host: number): string => network.replace(/\d+$/, (last) => String(Number(last) + host));
  const within = (...args: string[]): Promise<unknown> => run('ip', ['-n', name, ...args]);
  await run('ip', ['netns', 'add', name]);
  const remove = async (): Promise<void> => {
    await run('ip', ['link', 'del', outside]).catch(() => undefined);
    await run('ip', ['netns', 'del', name]);
  };
  try {
    await run('ip', ['link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name]);
    await run('ip', ['addr', 'add', `${at(1)}/30`, 'dev', outside]);
    await run('ip', ['link', 'set', outside, 'up']);
    await within('addr', 'add', `${at(2)}/30`, 'dev', inside);
    await within('link', 'set', inside, 'up');
    await within('link', 'set', 'lo', 'up');
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, address: at(2), remove };
}
