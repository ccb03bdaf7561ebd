import {
  assetKinds,
  assetNameSchema,
  criticalities,
  labelKeySchema,
  lifecycleStates,
  nameSchema,
  type AssetKind,
  type Criticality,
  type LifecycleState,
} from '@fettle/contracts';
import { IMPORT_LIMITS, shorten } from './import-row.js';
import { nearest } from './nearest.js';

/** Columns of an asset that a file can set, in the order of the documentation. */
export const importColumns = [
  'name',
  'kind',
  'site',
  'owner',
  'criticality',
  'lifecycle',
  'address',
  'port',
  'credential',
  'user',
  'hostKey',
  'jump',
] as const;
export type ImportColumn = (typeof importColumns)[number];

/** What a row is while it is being read. */
export interface RowDraft {
  file?: string;
  line: number;
  name: string;
  kind?: AssetKind;
  site?: string;
  owner?: string;
  criticality?: Criticality;
  lifecycle?: LifecycleState;
  address?: string;
  port?: number;
  user?: string;
  credential?: string;
  hostKey?: string;
  jump?: string;
  labels: Record<string, string>;
  groups?: string[];
}

export interface ColumnProblem {
  readonly message: string;
  readonly suggestion?: string | undefined;
}

/** Checks the text of one column (trimmed, not empty) and sets it; null where it was set. */
export function setColumn(row: RowDraft, column: ImportColumn, text: string): ColumnProblem | null {
  switch (column) {
    case 'name':
      return checked(assetNameSchema.safeParse(text).success, () => (row.name = text), NAME_RULE);
    case 'kind':
      return oneOf(assetKinds, text, (kind) => (row.kind = kind));
    case 'criticality':
      return oneOf(criticalities, text, (criticality) => (row.criticality = criticality));
    case 'lifecycle':
      return oneOf(lifecycleStates, text, (lifecycle) => (row.lifecycle = lifecycle));
    case 'site':
      return checked(isPlainText(text), () => (row.site = text), PLAIN_RULE);
    case 'owner':
      return checked(isPlainText(text), () => (row.owner = text), PLAIN_RULE);
    case 'address':
      return checked(
        isAddress(text),
        () => (row.address = text),
        'must be a host name or an IP address, without port or user',
      );
    case 'port':
      return checked(isPort(text), () => (row.port = Number(text)), 'must be a port number between 1 and 65535');
    case 'user':
      return checked(
        USER.test(text),
        () => (row.user = text),
        'must be a user name as ssh takes it, at most 64 characters',
      );
    case 'credential':
      return checked(
        nameSchema.safeParse(text).success,
        () => (row.credential = text),
        'must be the name of a credential (lower-case letters, digits and "-", at most 63), never its value',
      );
    case 'hostKey':
      return setHostKey(row, text);
    case 'jump':
      return checked(assetNameSchema.safeParse(text).success, () => (row.jump = text), NAME_RULE);
  }
}

/** Checks a label; `null` where both key and value are fine. */
export function labelProblem(key: string, value: string): string | null {
  const keyProblem = labelKeyProblem(key);
  if (keyProblem) return keyProblem;
  if (value.length > IMPORT_LIMITS.maxLabelChars)
    return `the value of label "${key}" has ${value.length} characters; at most ${IMPORT_LIMITS.maxLabelChars} fit`;
  return CONTROL.test(value) ? `the value of label "${key}" holds a control character` : null;
}

export function labelKeyProblem(key: string): string | null {
  const parsed = labelKeySchema.safeParse(key);
  if (parsed.success) return null;
  return `label key "${shorten(key, 60)}" ${parsed.error.issues[0]?.message ?? 'is not valid'}`;
}

const NAME_RULE =
  'must start and end with a letter or digit and hold only letters, digits, ".", "_" and "-" (at most 253)';
const PLAIN_RULE = 'must be one line of at most 200 characters without control characters';
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._@+\\-]{0,63}\$?$/;
const HOST = /^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$/;
const IPV6 = /^[0-9a-fA-F:]*:[0-9a-fA-F:.]*(%[A-Za-z0-9._-]{1,32})?$/;
const HOST_KEY =
  /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) ([A-Za-z0-9+/]{40,3000}={0,2})$/;

function isPlainText(text: string): boolean {
  return text.length <= 200 && !CONTROL.test(text);
}

function isAddress(text: string): boolean {
  return text.length <= 253 && (HOST.test(text) || IPV6.test(text));
}

function isPort(text: string): boolean {
  return /^[0-9]{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function setHostKey(row: RowDraft, text: string): ColumnProblem | null {
  const [type = '', key = ''] = text.split(/[ \t]+/, 2);
  const line = `${type} ${key}`;
  // The comment after the key says nothing about the host and would make two equal keys differ.
  return checked(
    HOST_KEY.test(line),
    () => (row.hostKey = line),
    'must be a host key as ssh-keyscan prints it without the host: "ssh-ed25519 AAAA..."',
  );
}

function checked(holds: boolean, set: () => void, message: string): ColumnProblem | null {
  if (!holds) return { message };
  set();
  return null;
}

function oneOf<Value extends string>(
  values: readonly Value[],
  text: string,
  set: (value: Value) => void,
): ColumnProblem | null {
  const value = values.find((candidate) => candidate === text);
  if (value === undefined) {
    return { message: `must be one of ${values.join(', ')}`, suggestion: nearest(text.toLowerCase(), values) };
  }
  set(value);
  return null;
}
