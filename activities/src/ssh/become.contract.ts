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

/** The sudo prefix that `plan` shows and the driver executes; the prompt itself is the driver's business. */
export function becomeArgv(become: BecomeInput | undefined): readonly string[] {
  if (!become) return [];
  return ['sudo', '-u', become === true ? 'root' : become.user, '--'];
}

export const environmentSchema = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), z.string().max(32_768));

/** What a command leaves for later steps; longer output is cut here and stands whole (within the log limit) in the log. */
export const commandOutputSchema = z.object({
  exitCode: z.int(),
  /** First 16 KiB of standard output without the trailing newline, as UTF-8 with replacement characters. */
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean(),
});
export const MAX_KEPT_OUTPUT_BYTES = 16_384;
