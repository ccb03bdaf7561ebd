import { pageOf, runDetailSchema, runTargetSchema, type RunDetail, type RunTarget } from '@fettle/contracts';
import type { ApiClient } from '../../client/api-client.js';

const targetPageSchema = pageOf(runTargetSchema);

export function readRun(client: ApiClient, id: string): Promise<RunDetail> {
  return client.get(`/api/v1/runs/${id}`, runDetailSchema);
}

/** One of its targets, by name; undefined: it has none of that name. */
export async function readTarget(client: ApiClient, id: string, asset: string): Promise<RunTarget | undefined> {
  const page = await client.get(`/api/v1/runs/${id}/targets`, targetPageSchema, { asset, limit: 1 });
  return page.items[0];
}

/** The run with all its targets, page by page. */
export async function readWholeRun(client: ApiClient, id: string): Promise<RunDetail> {
  const run = await readRun(client, id);
  const targets: RunTarget[] = [...run.targets];
  let next = run.targetsNext;
  while (next !== null) {
    const page = await client.get(`/api/v1/runs/${id}/targets`, targetPageSchema, { after: next, limit: 1000 });
    for (const target of page.items) targets.push(target);
    next = page.next;
  }
  return { ...run, targets, targetsNext: null };
}
