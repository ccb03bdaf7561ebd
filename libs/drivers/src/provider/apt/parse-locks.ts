/** Files that apt and dpkg lock while they change packages or their lists. */
const LOCKS = /^\/var\/(?:lib\/dpkg\/lock(?:-frontend)?|lib\/apt\/lists\/lock|cache\/apt\/archives\/lock)$/;

interface LockRow {
  readonly command?: unknown;
  readonly pid?: unknown;
  readonly path?: unknown;
}

/** Who holds a lock of the package manager, for people, from `lslocks --json`; its values are texts or numbers, as versions have it. */
export function parseLockHolders(text: string): string[] {
  if (text.trim() === '') return [];
  const { locks } = JSON.parse(text) as { readonly locks?: readonly LockRow[] };
  const shown = (value: unknown): string =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
  const held = (locks ?? []).filter(({ path }) => typeof path === 'string' && LOCKS.test(path));
  return [...new Set(held.map(({ command, pid }) => `${shown(command)} (process ${shown(pid)})`))];
}
