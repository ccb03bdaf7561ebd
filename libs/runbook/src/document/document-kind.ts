import { documentKinds, type DocumentKind } from '@fettle/contracts';
import { isRecord } from '../json.js';
import { closestName } from './closest-name.js';

export const knownKinds = Object.keys(documentKinds) as DocumentKind[];

/** The kind that a value is of, or was probably meant to be of: what else is wrong with it can be told all the same. */
export function likelyKind(value: unknown): DocumentKind | null {
  const kind = isRecord(value) ? value.kind : undefined;
  if (typeof kind !== 'string') return null;
  const name = closestName(kind, knownKinds);
  return knownKinds.find((known) => known === kind || known === name) ?? null;
}
