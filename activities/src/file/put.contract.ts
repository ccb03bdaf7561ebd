import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { defineAction } from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';

const MAX_CONTENT_CHARACTERS = 1_048_576;

export const filePut = defineAction({
  name: 'file.put',
  version: 1,
  summary: 'Places a file on the target: written beside, checked, then renamed over; an equal file is left alone.',
  input: z
    .strictObject({
      path: z.string().min(2).max(4096).startsWith('/', { message: 'must be an absolute path' }),
      content: z.string().max(MAX_CONTENT_CHARACTERS),
      /** `base64` for content that is not text. */
      encoding: z.enum(['utf8', 'base64']).default('utf8'),
      mode: z
        .string()
        .regex(/^0?[0-7]{3}$/, { message: 'must be octal text such as "0644"' })
        .default('0644'),
      owner: z.string().min(1).max(64).optional(),
      group: z.string().min(1).max(64).optional(),
      become: becomeSchema.optional(),
    })
    .refine(({ content, encoding }) => encoding === 'utf8' || isBase64(content), {
      path: ['content'],
      message: 'must be base64 (RFC 4648 section 4), as `encoding` says',
    }),
  output: z.object({ changed: z.boolean(), sha256: z.string() }),
  scope: 'target',
  effect: () => 'idempotent',
  defaultTimeoutMs: 120_000,
  maxTimeoutMs: 3_600_000,
  secretInputs: ['become.credential'],
  compensation: {
    summary: 'puts back what stood there, or removes the file where nothing did',
    uses: 'file.restore',
    input: ({ become, ...input }) => ({
      path: input.path,
      put: bytesToHex(sha256(fileContent(input))),
      ...(become === undefined ? {} : { become }),
    }),
  },
  probe: (input) => ({ argv: null, files: [input.path] }),
  render: (input) => {
    const content = fileContent(input);
    const file = { path: input.path, mode: input.mode, sha256: bytesToHex(sha256(content)), sizeBytes: content.length };
    return { argv: [], becomeUser: becomeUser(input.become), files: [file], calls: [] };
  },
});

/** The bytes of `content` in its declared encoding (RFC 4648 section 4 for base64). */
export function fileContent(input: { readonly content: string; readonly encoding: 'utf8' | 'base64' }): Uint8Array {
  if (input.encoding === 'utf8') return new TextEncoder().encode(input.content);
  return Uint8Array.from(atob(input.content), (character) => character.charCodeAt(0));
}

function isBase64(text: string): boolean {
  try {
    atob(text);
    return true;
  } catch {
    return false;
  }
}
