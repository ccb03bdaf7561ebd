export function missingDebianPackages(names: readonly string[]): Promise<string[]>;
export function ensureDebianPackages(names: readonly string[]): Promise<string[]>;
