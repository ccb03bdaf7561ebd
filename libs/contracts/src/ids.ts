import { z } from 'zod';

/** A UUID as text in lower case. Keys are version 7 (RFC 9562), so they sort by time of creation. */
export const idSchema = z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, {
  message: 'must be a UUID in lower case',
});

/** Names of assets may be host names; all other names are DNS-label like, so that they fit in URLs, paths and keys. */
export const assetNameSchema = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/, {
    message: 'must start and end with a letter or digit and hold only letters, digits, ".", "_" and "-"',
  });

export const nameSchema = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, {
    message: 'must be 1 to 63 lower-case letters, digits and "-", starting and ending with a letter or digit',
  });

export const DEFAULT_SPACE = 'default';

/** Keys follow Kubernetes' label syntax without the length of its prefix: `env`, `app.kubernetes.io/name`. */
export const labelKeySchema = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/, {
    message: 'must start and end with a letter or digit and hold only letters, digits, ".", "_", "/" and "-"',
  });
export const labelsSchema = z.record(labelKeySchema, z.string().max(256));
export type Labels = Readonly<Record<string, string>>;
