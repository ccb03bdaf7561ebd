import { defineAction, nameSchema } from '@fettle/contracts';
import { z } from 'zod';

const addressSchema = z
  .string()
  .max(320)
  .regex(/^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, {
    message: 'must be an address such as ops@example.org',
  });

const defaultPorts = { starttls: 587, tls: 465, none: 25 } as const;

export const notifyMail = defineAction({
  name: 'notify.mail',
  version: 1,
  summary: 'Sends a plain-text mail over SMTP; a repeat has the same Message-ID.',
  input: z.strictObject({
    to: z.array(addressSchema).min(1).max(50),
    from: addressSchema,
    subject: z.string().min(1).max(500),
    text: z.string().max(100_000),
    server: z.strictObject({
      host: z
        .string()
        .min(1)
        .max(253)
        .regex(/^[A-Za-z0-9.:-]+$/, { message: 'must be a name or an address' }),
      /** Default: 587 with `starttls`, 465 with `tls`, 25 with `none`. */
      port: z.int().min(1).max(65_535).optional(),
      /** `starttls` never falls back to sending in clear. */
      security: z.enum(['starttls', 'tls', 'none']).default('starttls'),
      /** PEM, where the system does not know who signed the server's certificate. */
      certificateAuthority: z.string().max(65_536).optional(),
      user: z.string().min(1).max(320).optional(),
      /** Name of a credential of kind `password`; needs `user`. */
      credential: nameSchema.optional(),
    }),
  }),
  output: z.object({ messageId: z.string(), accepted: z.string() }),
  scope: 'control',
  effect: () => 'idempotent',
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 600_000,
  secretInputs: ['server.credential'],
  compensation: null,
  probe: null,
  render: ({ server }) => ({
    argv: [],
    files: [],
    calls: [{ method: 'MAIL', url: `smtp://${server.host}:${mailPort(server)}` }],
  }),
});

export function mailPort(server: {
  readonly port?: number | undefined;
  readonly security: keyof typeof defaultPorts;
}): number {
  return server.port ?? defaultPorts[server.security];
}
