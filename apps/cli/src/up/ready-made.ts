import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './data-dir.js';

/** A document as `apply` takes it. */
export interface DocumentSource {
  readonly file: string;
  readonly source: string;
}

/** The ready-made runbooks of this checkout, by name; none where it was taken apart. */
export function readyMadeSources(folder = join(CHECKOUT, 'runbooks')): readonly DocumentSource[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => ({ path: join(folder, name, 'runbook.yaml'), file: `runbooks/${name}/runbook.yaml` }))
    .filter(({ path }) => existsSync(path))
    .map(({ path, file }) => ({ file, source: readFileSync(path, 'utf8') }));
}
