import {
  assetNameSchema,
  assetSchema,
  type Asset,
  type AssetKind,
  type Criticality,
  type LifecycleState,
  nameSchema,
  type Relation,
  type SetAssetRequest,
} from '@fettle/contracts';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

export const clearableFields = ['site', 'owner', 'criticality', 'user', 'credential', 'jump'] as const;

export interface SetOptions extends SpaceOptions {
  readonly kind?: AssetKind;
  readonly site?: string;
  readonly owner?: string;
  readonly criticality?: Criticality;
  readonly lifecycle?: LifecycleState;
  readonly label?: readonly string[];
  readonly removeLabel?: readonly string[];
  readonly address?: string;
  readonly port?: number;
  readonly user?: string;
  readonly credential?: string;
  readonly hostKey?: readonly string[];
  readonly jump?: string;
  readonly clear?: readonly string[];
  readonly relate?: readonly string[];
  readonly unrelate?: readonly string[];
  readonly liftQuarantine?: boolean;
  readonly reason?: string;
}

export async function setAsset(session: Session, name: string, options: SetOptions): Promise<number> {
  const body = setRequest(options);
  const path = `/api/v1/assets/${encodeURIComponent(name)}`;
  const client = session.connect(options);
  const asset = await client.request('PUT', path, assetSchema, { body, query: { space: options.space } });
  return tell(session, options, asset, 'is set');
}

export async function retireAsset(
  session: Session,
  name: string,
  options: SpaceOptions & { readonly reason?: string },
): Promise<number> {
  const path = `/api/v1/assets/${encodeURIComponent(name)}/retire`;
  const body = options.reason === undefined ? {} : { reason: options.reason };
  const asset = await session.connect(options).post(path, assetSchema, { body, query: { space: options.space } });
  return tell(session, options, asset, 'is retired');
}

function tell({ output }: Session, options: SpaceOptions, asset: Asset, what: string): number {
  if (options.output === 'table') output.note(`${asset.kind} ${asset.name} ${what}.`);
  else output.data(options.output, asset, () => '');
  return EXIT.ok;
}

/** What the options ask for. @throws UsageError where they contradict each other or ask for nothing */
export function setRequest(options: SetOptions): SetAssetRequest {
  const cleared = new Set(options.clear ?? []);
  const field = <Value>(name: string, value: Value | undefined): Record<string, Value | null> => {
    if (value !== undefined && cleared.has(name))
      throw new UsageError(`--${name} and --clear ${name} exclude each other`);
    if (value !== undefined) return { [name]: value };
    return cleared.has(name) ? { [name]: null } : {};
  };
  const labels = labelChanges(options);
  const { user, ...userField } = field('user', options.user);
  const endpoint = {
    ...(options.address === undefined ? {} : { address: options.address }),
    ...(options.port === undefined ? {} : { port: options.port }),
    ...(user === undefined ? userField : { username: user }),
    ...field('credential', options.credential),
    ...field('jump', options.jump),
    ...(options.hostKey === undefined ? {} : { hostKeys: [...options.hostKey] }),
  };
  if (options.liftQuarantine === true && options.reason === undefined)
    throw new UsageError('--lift-quarantine needs --reason: why is the asset to be trusted again?');
  const request: SetAssetRequest = {
    ...(options.kind === undefined ? {} : { kind: options.kind }),
    ...field('site', options.site),
    ...field('owner', options.owner),
    ...field('criticality', options.criticality),
    ...(options.lifecycle === undefined ? {} : { lifecycle: options.lifecycle }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(endpoint).length === 0 ? {} : { endpoint }),
    ...relationChanges(options),
    ...(options.liftQuarantine === true ? { quarantined: false as const } : {}),
  };
  if (Object.keys(request).length === 0)
    throw new UsageError('Nothing to set: name at least one field, e.g. --site ber');
  return { ...request, ...(options.reason === undefined ? {} : { reason: options.reason }) };
}

function labelChanges({ label = [], removeLabel = [] }: SetOptions): Record<string, string | null> {
  const changes = new Map<string, string | null>(removeLabel.map((key) => [key, null]));
  for (const text of label) {
    const at = text.indexOf('=');
    if (at <= 0) throw new UsageError(`--label must be key=value, not "${text.slice(0, 80)}"`);
    const key = text.slice(0, at);
    if (changes.has(key)) throw new UsageError(`label ${key} is given twice`);
    changes.set(key, text.slice(at + 1));
  }
  return Object.fromEntries(changes);
}

function relationChanges({ relate, unrelate }: SetOptions): Pick<SetAssetRequest, 'relate' | 'unrelate'> {
  const both = relate?.find((text) => unrelate?.includes(text));
  if (both !== undefined) throw new UsageError(`--relate and --unrelate ${both.slice(0, 80)} exclude each other`);
  return {
    ...(relate === undefined ? {} : { relate: relate.map((text) => relationOf('--relate', text)) }),
    ...(unrelate === undefined ? {} : { unrelate: unrelate.map((text) => relationOf('--unrelate', text)) }),
  };
}

/** `runs-on=vmhost-01`: names of assets hold no `=`, and neither do types. */
function relationOf(option: string, text: string): Relation {
  const [kind = '', asset = '', ...more] = text.split('=');
  if (more.length === 0 && nameSchema.safeParse(kind).success && assetNameSchema.safeParse(asset).success)
    return { kind, asset };
  throw new UsageError(
    `${option} must be type=asset, not "${text.slice(0, 80)}"`,
    'A type is a name in lower case, for example: --relate runs-on=vmhost-01',
  );
}
