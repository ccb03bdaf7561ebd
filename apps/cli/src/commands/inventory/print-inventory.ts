import { assetSchema, notFoundError, type Asset } from '@fettle/contracts';
import { renderAnsibleInventory, type InventoryAsset } from '@fettle/inventory';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

interface InventoryOptions extends Pick<SpaceOptions, 'space' | 'dataDir'> {
  readonly list?: boolean;
  readonly host?: string;
  readonly on?: string;
}

export async function printInventory(session: Session, options: InventoryOptions): Promise<number> {
  const { host, list, on, space } = options;
  if ((list === true) === (host !== undefined)) throw new UsageError('give one of --list and --host NAME');
  const client = session.connect(options);
  const { items } = await client.list('/api/v1/assets', assetSchema, { on, space });
  const inventory = renderAnsibleInventory(items.map(inventoryAsset));
  if (host === undefined) {
    session.output.stdout.write(`${JSON.stringify(inventory, null, 2)}\n`);
    return EXIT.ok;
  }
  const { hostvars } = inventory._meta;
  if (!Object.hasOwn(hostvars, host)) {
    throw notFoundError('asset', host, { space, remedy: 'See `fettle asset list`.' });
  }
  session.output.stdout.write(`${JSON.stringify(hostvars[host], null, 2)}\n`);
  return EXIT.ok;
}

function inventoryAsset({ endpoint, ...asset }: Asset): InventoryAsset {
  const { criticality, kind, labels, lifecycle, name, owner, site } = asset;
  const reach = endpoint === null ? {} : { address: endpoint.address, port: endpoint.port, user: endpoint.username };
  return { name, kind, site, owner, criticality, lifecycle, labels, ...reach };
}
