import { FettleError } from '@fettle/contracts';
import { resolveDataDir } from '../up/data-dir.js';
import { findLocalStack } from '../up/stack-state.js';
import { UnreachableError, UsageError } from '../session/errors.js';
import type { ApiAddress } from './api-client.js';

/**
 * Where the API is, and as whom: `--data-dir` names a local stack; else FETTLE_URL with FETTLE_TOKEN; else the local stack of this
 * checkout. A local stack brings its token along unless FETTLE_TOKEN is set.
 * @throws UnreachableError where there is none, with all that was tried; UsageError for a FETTLE_URL that is none
 */
export function findApi(dataDir: string | undefined, env: NodeJS.ProcessEnv): ApiAddress {
  const url = nonEmpty(env.FETTLE_URL);
  const token = nonEmpty(env.FETTLE_TOKEN);
  const place = resolveDataDir(dataDir, env).path;
  if (dataDir === undefined && url !== undefined) {
    const base = parseUrl(url);
    const local = token === undefined ? findLocalStack(place) : undefined;
    const isLocal = local !== undefined && parseUrl(local.url) === base;
    return { url: base, token: token ?? (isLocal ? local.token : null), origin: 'from FETTLE_URL' };
  }
  const local = findLocalStack(place);
  if (local !== undefined)
    return {
      url: parseUrl(local.url),
      token: token ?? local.token,
      origin: `the local stack in ${local.dataDir}${token === undefined ? '' : ', with FETTLE_TOKEN'}`,
    };
  const tried =
    dataDir === undefined
      ? `FETTLE_URL is not set, and no local stack runs in ${place}`
      : `no local stack runs in ${place}`;
  throw new UnreachableError(
    `There is no API to talk to: ${tried}.`,
    'Start one with `fettle up` (--data-dir names another folder), or set FETTLE_URL and FETTLE_TOKEN.',
  );
}

function parseUrl(text: string): string {
  try {
    const url = new URL(text);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.origin;
  } catch (error) {
    if (error instanceof FettleError) throw error;
  }
  throw new UsageError(`FETTLE_URL is not an http or https address: ${text}`, 'For example http://127.0.0.1:7070');
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
