import type { AssetPatches } from '@fettle/contracts';
import { capture, type CapturedRun } from '../../apps/cli/dist/session/testing/capture-host.js';
import type { ApiProcess } from './api-process.js';

/** An API, and whose token is shown to it. */
type Signed = Pick<ApiProcess, 'url' | 'token'>;

/** Runs `fettle` against an API. */
export function fettleOf(api: Signed, ...args: string[]): Promise<CapturedRun> {
  return capture(args, { env: { FETTLE_URL: api.url, FETTLE_TOKEN: api.token } });
}

/** Assets as `fettle report patch` has them. */
export async function patchReport(api: Signed, ...args: string[]): Promise<AssetPatches[]> {
  const { exitCode, stdout, stderr } = await fettleOf(api, 'report', 'patch', ...args, '-o', 'json');
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as AssetPatches[];
}
