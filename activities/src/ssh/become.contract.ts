import { nameSchema } from '@fettle/contracts';
import { z } from 'zod';

/** Run as another user through sudo; the password, where sudo asks for one, is a credential and never part of a document. */
export const becomeSchema = z.union([
  z.boolean(),
  z.strictObject({
    user: z
      .string()
      .regex(/^[a-z_][a-z0-9_-]{0,31}$/)
      .default('root'),
    /** Name of a credential of kind `password`. */
    credential: nameSchema.optional(),
  }),
]);
export type BecomeInput = z.output<typeof becomeSchema>;

/** Whom a step becomes; undefined: nobody. How sudo is asked for it is the driver's business. */
export function becomeUser(become: BecomeInput | undefined): string | undefined {
  if (!become) return undefined;
  return become === true ? 'root' : become.user;
}
