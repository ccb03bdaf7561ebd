import type { SourcePosition } from '@fettle/contracts';

/** A value of a variable, as JSON has it. */
export type AnsibleValue =
  string | number | boolean | null | readonly AnsibleValue[] | { readonly [key: string]: AnsibleValue };

/** A variable with the place it comes from. */
export interface Variable {
  readonly value: AnsibleValue;
  /** A number as it was written: `1.10` is a version more often than 1.1. */
  readonly written?: string | undefined;
  /** The value, or a part of it, is encrypted with Ansible Vault and is not known. */
  readonly encrypted?: boolean | undefined;
  readonly position: SourcePosition;
}

export type Variables = ReadonlyMap<string, Variable>;

/** Stands for what Vault encrypted, as `ansible-inventory --list` shows the place of it. */
export const ENCRYPTED_VALUE = { __ansible_vault: '(encrypted)' } as const satisfies AnsibleValue;
