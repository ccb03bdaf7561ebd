import type { PreflightResult } from '../../preflight.mjs';
import { findLocalStack } from './stack-state.js';

const TIMEOUT_MS = 3_000;

/** A line of `fettle doctor`: whether the workers that are there can go on with every open run. */
export async function unservedResult(dataDir: string): Promise<PreflightResult> {
  const result = { name: 'runs', fatal: false };
  const stack = findLocalStack(dataDir);
  const text = stack === undefined ? null : await metricsOf(stack.url, stack.token);
  if (text === null) return { ...result, ok: false, detail: 'the API does not tell its metrics', remedy: '' };
  const unserved = unservedIn(text);
  if (unserved.length === 0)
    return { ...result, ok: true, detail: 'every open run has workers of its version', remedy: '' };
  const list = unserved.map(({ count, version }) => `${count} of version ${version}`).join(', ');
  return {
    ...result,
    ok: false,
    detail: `open runs wait for workers of another version: ${list}`,
    remedy: 'Start that version again until they have ended, or cancel them: fettle run list --state running.',
  };
}

async function metricsOf(url: string, token: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/metrics`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return response.ok ? await response.text() : null;
  } catch {
    return null;
  }
}

/** `fettle_runs_unserved{engine_version="1+9108",worker_build=""} 2` of Prometheus' text format. */
export function unservedIn(metrics: string): readonly { readonly version: string; readonly count: number }[] {
  const lines = metrics.matchAll(/^fettle_runs_unserved\{engine_version="([^"]*)",worker_build="([^"]*)"\} (\d+)$/gm);
  return [...lines].flatMap(([, engine = '', build = '', count]) =>
    Number(count) === 0 ? [] : [{ version: build === '' ? engine : build, count: Number(count) }],
  );
}
