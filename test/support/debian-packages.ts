import { ensureDebianPackages as ensure } from './debian-packages.mjs';

/** Installs missing Debian packages (as root), or throws and lists them. Plain node runs the same code from the .mjs file. */
export async function ensureDebianPackages(names: readonly string[]): Promise<readonly string[]> {
  return await ensure(names);
}
