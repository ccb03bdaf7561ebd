/** Says which release of which system a host is: os-release(5). */
export const releaseCommand: readonly string[] = ['cat', '/etc/os-release'];

/** `bookworm`, from the text of /etc/os-release; null: it does not say. */
export function codenameOf(text: string): string | null {
  return valuesOf(text).get('VERSION_CODENAME') || null;
}

/** `debian 12`, from the text of /etc/os-release; null: it does not say. */
export function releaseOf(text: string): string | null {
  const values = valuesOf(text);
  const version = values.get('VERSION_ID') || values.get('VERSION_CODENAME');
  const id = values.get('ID');
  return id && version ? `${id} ${version}`.slice(0, 200) : null;
}

function valuesOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/^([A-Z_]+)=["']?([^"'\n]*)["']?$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}
