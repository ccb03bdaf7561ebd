import { randomBytes } from 'node:crypto';
import { FettleError } from '@fettle/contracts';
import { z } from 'zod';

const keyBytes = 32;
/** More keys than this are a sign that rotation never ends. */
const maxKeys = 64;
const keyIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const keyFileSchema = z.strictObject({ current: z.string(), keys: z.record(z.string(), z.string()) });

/** Decoded key file: `keys` in file order. */
export interface SealingKeys {
  readonly current: string;
  readonly keys: ReadonlyMap<string, Buffer>;
}

/** One line `keyId:base64` with a fresh 256-bit key; append it to a key file to rotate, or start a file with it. */
export function generateSealingKeyLine(): string {
  return `k-${randomBytes(4).toString('hex')}:${randomBytes(keyBytes).toString('base64')}\n`;
}

/** See `SealingKeyring.fromText`. Error messages give line numbers and key ids, never what stands where a key should. */
export function parseSealingKeys(text: string): SealingKeys {
  const pairs = text.trimStart().startsWith('{') ? fromJson(text) : fromLines(text);
  const keys = new Map<string, Buffer>();
  for (const [id, encoded, where] of pairs.entries) {
    if (!keyIdPattern.test(id)) throw invalidKeyFile(`${where}: a key id is 1 to 64 letters, digits, ".", "_" or "-"`);
    if (keys.has(id)) throw invalidKeyFile(`${where}: the key id "${id}" is there twice`);
    const bytes = Buffer.from(encoded, 'base64');
    // Node skips what is not base64, so a damaged key would silently be another key.
    if (bytes.toString('base64') !== encoded || bytes.length !== keyBytes) {
      throw invalidKeyFile(`${where}: the key "${id}" is not ${keyBytes} bytes in base64`);
    }
    keys.set(id, bytes);
  }
  if (keys.size === 0) throw invalidKeyFile('it holds no key');
  if (keys.size > maxKeys) throw invalidKeyFile(`it holds ${keys.size} keys, more than ${maxKeys}`);
  const current = pairs.current ?? [...keys.keys()].at(-1) ?? '';
  if (!keys.has(current)) throw invalidKeyFile('"current" names a key that is not among "keys"');
  return { current, keys };
}

interface KeyPairs {
  readonly current: string | null;
  readonly entries: readonly (readonly [id: string, encoded: string, where: string])[];
}

function fromJson(text: string): KeyPairs {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which holds keys: it must not become a cause.
    throw invalidKeyFile('it starts with "{" but is not JSON');
  }
  const parsed = keyFileSchema.safeParse(value);
  if (!parsed.success) throw invalidKeyFile('it must be {"current": "<key id>", "keys": {"<key id>": "<base64>"}}');
  const { current, keys } = parsed.data;
  return { current, entries: Object.entries(keys).map(([id, encoded]) => [id, encoded, `key "${id}"`] as const) };
}

function fromLines(text: string): KeyPairs {
  const entries: (readonly [string, string, string])[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    if (colon < 0) throw invalidKeyFile(`line ${index + 1}: expected keyId:base64`);
    entries.push([line.slice(0, colon), line.slice(colon + 1), `line ${index + 1}`]);
  }
  return { current: null, entries };
}

function invalidKeyFile(why: string): FettleError {
  return new FettleError({
    code: 'invalid-key-file',
    message: `the sealing key file is not usable: ${why}`,
    remedy:
      'Restore the file from its backup. Without its keys, sealed credentials cannot be opened and must be set again.',
  });
}
