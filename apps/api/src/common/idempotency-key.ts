import { FettleError, idempotencyKeySchema } from '@fettle/contracts';

/** The option from the header Idempotency-Key. @throws FettleError `invalid-request`. */
export function idempotencyKeyOf(header: unknown): { readonly idempotencyKey?: string } {
  if (header === undefined) return {};
  const parsed = idempotencyKeySchema.safeParse(header);
  // Keys that begin with `fire:` are those of schedules' fires: nobody may take one beforehand.
  if (parsed.success && /^(?!fire:)[\x21-\x7e]+$/.test(parsed.data)) return { idempotencyKey: parsed.data };
  throw new FettleError({
    code: 'invalid-request',
    message:
      'The header Idempotency-Key must be 1 to 200 printable ASCII characters without spaces, not beginning with "fire:".',
  });
}
