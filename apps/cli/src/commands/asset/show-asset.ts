import { createHash } from 'node:crypto';
import { assetDetailSchema, type AssetDetail } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { addressOf, labelsText } from './list-assets.js';

export async function showAsset(session: Session, name: string, options: SpaceOptions): Promise<number> {
  const path = `/api/v1/assets/${encodeURIComponent(name)}`;
  const asset = await session.connect(options).get(path, assetDetailSchema, { space: options.space });
  session.output.data(options.output, asset, () => shown(session, asset));
  if (asset.truncated !== undefined)
    session.output.warn(`there are more ${asset.truncated.join(' and ')} than are shown`);
  return EXIT.ok;
}

function shown({ output }: Session, asset: AssetDetail): string {
  const { endpoint, quarantine } = asset;
  const facts = Object.entries(asset.facts).map(([name, fact]) => ({ name, ...fact }));
  const head = output.fields([
    ['name', asset.name],
    ['kind', asset.kind],
    ['site', asset.site],
    ['owner', asset.owner],
    ['criticality', asset.criticality],
    ['lifecycle', asset.lifecycle],
    ['quarantine', quarantine === null ? null : `since ${quarantine.since}: ${quarantine.reason}`],
    ['labels', labelsText(asset.labels)],
    ['address', addressOf(asset)],
    ['credential', endpoint?.credential],
    ['jump host', endpoint?.jump],
    ...(endpoint?.hostKeys ?? []).map((key) => ['host key', hostKeyText(key)] as const),
    ...asset.identifiers.map(({ kind, value }) => ['identifier', `${kind} ${value}`] as const),
    ...asset.relations.map((one) => ['relation', relationText(asset.name, one)] as const),
    ['changed', asset.updatedAt],
  ]);
  if (facts.length === 0) return head;
  const table = output.table(facts, [
    { title: 'FACT', value: (fact) => fact.name },
    { title: 'SEEN', value: (fact) => fact.observedAt },
    { title: 'VALUE', value: (fact) => (typeof fact.value === 'string' ? fact.value : JSON.stringify(fact.value)) },
  ]);
  return `${head}\n${table}`;
}

/** As `ssh-keygen -l` shows a key: type and SHA-256 of its bytes. */
function hostKeyText(key: string): string {
  const [type = '', data = ''] = key.split(' ');
  return `${type} SHA256:${createHash('sha256').update(Buffer.from(data, 'base64')).digest('base64').replace(/=+$/, '')}`;
}

/** Read from left to right, whichever end is shown: `web-01 runs-on vmhost-01`. */
function relationText(name: string, { kind, direction, asset }: AssetDetail['relations'][number]): string {
  return direction === 'to' ? `${name} ${kind} ${asset}` : `${asset} ${kind} ${name}`;
}
