interface LockRow {
  readonly command?: unknown;
  readonly pid?: unknown;
  readonly path?: unknown;
}

/** Who holds a lock on one of the files, for people, from `lslocks --json`; its values are texts or numbers, as versions have it. */
export function parseLockHolders(text: string, files: RegExp): string[] {
  if (text.trim() === '') return [];
  const { locks } = JSON.parse(text) as { readonly locks?: readonly LockRow[] };
  const shown = (value: unknown): string =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
  const held = (locks ?? []).filter(({ path }) => typeof path === 'string' && files.test(path));
  return [...new Set(held.map(({ command, pid }) => `${shown(command)} (process ${shown(pid)})`))];
}
