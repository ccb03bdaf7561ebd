import { assetPageSchema, assetSchema, type Asset } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import type { Column } from '../../output/table.js';
import { warnUndetermined } from '../../output/undetermined.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

interface ListOptions extends SpaceOptions {
  readonly on?: string;
  readonly retired?: boolean;
  readonly undetermined?: boolean;
  readonly limit?: number;
}

export async function listAssets(session: Session, options: ListOptions): Promise<number> {
  const { limit, on, retired, space } = options;
  const query = { on, retired, space };
  const { items, hasMore } = await session.connect(options).list('/api/v1/assets', assetSchema, query, limit);
  session.output.list(options.output, items, columns(session), on === undefined ? 'No assets.' : 'No asset matches.');
  // Unasked only where nothing matched, where it may well be the reason: counting evaluates the selector on every asset.
  if (on !== undefined && (items.length === 0 || options.undetermined)) await warnOfUndetermined(session, options);
  if (hasMore) session.output.note('There are more; without --limit all are listed.');
  return EXIT.ok;
}

/** Counting looks at every asset, so it is asked once and apart from the pages. */
async function warnOfUndetermined(session: Session, options: ListOptions): Promise<void> {
  const { on, retired, space } = options;
  const query = { on, retired, space, limit: 1, undetermined: true };
  const { undetermined } = await session.connect(options).get('/api/v1/assets', assetPageSchema, query);
  warnUndetermined(session.output, undetermined ?? 0);
}

function columns({ output }: Session): Column<Asset>[] {
  return [
    { title: 'NAME', value: (asset) => asset.name },
    { title: 'KIND', value: (asset) => asset.kind },
    { title: 'SITE', value: (asset) => asset.site },
    {
      title: 'STATE',
      value: (asset) => (asset.quarantine === null ? asset.lifecycle : 'quarantined'),
      paint: (cell) => paintState(output.colours, cell),
    },
    { title: 'ADDRESS', value: addressOf },
    { title: 'LABELS', value: (asset) => labelsText(asset.labels) },
  ];
}

export function addressOf({ endpoint }: Asset): string {
  if (endpoint === null) return '';
  const user = endpoint.username === null ? '' : `${endpoint.username}@`;
  const host = endpoint.address.includes(':') ? `[${endpoint.address}]` : endpoint.address;
  return `${user}${host}${endpoint.port === 22 ? '' : `:${endpoint.port}`}`;
}

export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(' ');
}
