import { FettleError } from '@fettle/contracts';

/**
 * Encodes fields so that no two different lists share an encoding: each field is its UTF-8 length (4 bytes, big-endian) and its
 * bytes. Joining with a separator would let `["a:b", "c"]` and `["a", "b:c"]` meet. Ill-formed UTF-16 is refused, because
 * encoding maps every lone surrogate to the same U+FFFD.
 */
export function lengthPrefixed(fields: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (const field of fields) {
    if (/\p{Surrogate}/u.test(field)) {
      throw new FettleError({
        code: 'invalid-request',
        message: 'a field to be authenticated is not well-formed Unicode text',
      });
    }
    const bytes = Buffer.from(field, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}
