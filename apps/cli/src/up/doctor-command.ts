import { join } from 'node:path';
import { DEFAULT_HOST, DEFAULT_PORT } from '@fettle/config';
import { checkDisk, checkLocale, checkNode, checkNpm, checkPort, type PreflightResult } from '../../preflight.mjs';
import { CHECKOUT, readJson, resolveDataDir } from './data-dir.js';
import { EXIT, type Output } from './output.js';
import { describePortHolder } from './ports.js';
import { packagedBinaries } from './postgres-binaries.js';
import { isStillRunning } from './process-identity.js';
import { readState } from './stack-state.js';
import { findTemporal } from './temporal-binary.js';
import { unservedResult } from './unserved-runs.js';

export interface DoctorOptions {
  readonly dataDir?: string | undefined;
  readonly port?: number | undefined;
}

/** `fettle doctor`: what a start needs and what runs, a line each. @returns 0 when nothing stands in the way, else 1. */
export async function doctorCommand(
  options: DoctorOptions,
  output: Output,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const dataDir = resolveDataDir(options.dataDir, env);
  const state = readState(dataDir);
  const supervisorLives = state !== undefined && isStillRunning(state.supervisor);
  const results: PreflightResult[] = [checkNode(), checkNpm(), checkDisk(dataDir.path, 'run'), checkLocale(env)];
  if (!supervisorLives) results.push(await checkPort(options.port ?? DEFAULT_PORT, DEFAULT_HOST, describePortHolder));
  results.push(await temporalResult(env), postgresResult(env));
  if (supervisorLives && state.phase === 'ready') results.push(await unservedResult(dataDir.path));
  for (const child of state?.children ?? []) {
    const ok = isStillRunning(child) && supervisorLives;
    const what = `${child.name} ${isStillRunning(child) ? 'runs' : 'does not run'} (process ${child.pid})`;
    results.push({
      name: 'child',
      ok,
      detail: what,
      remedy: ok ? '' : 'Run: npx fettle down, then start again.',
      fatal: true,
    });
  }
  output.stdout.write(`Fettle ${fettleVersion()} in ${CHECKOUT}, data in ${dataDir.path}\n`);
  output.stdout.write(supervisorLives ? `  it runs: ${state.url} (${state.phase})\n` : '  it does not run\n');
  for (const { ok, name, detail, remedy, fatal } of results) {
    output.stdout.write(
      `  ${ok ? 'ok  ' : fatal ? 'FAIL' : 'note'}  ${name.padEnd(10)} ${detail}${remedy === '' ? '' : `. ${remedy}`}\n`,
    );
  }
  return results.every(({ ok, fatal }) => ok || !fatal) ? EXIT.ok : EXIT.error;
}

async function temporalResult(env: NodeJS.ProcessEnv): Promise<PreflightResult> {
  if (env.TEMPORAL_ADDRESS !== undefined && env.TEMPORAL_ADDRESS !== '') {
    return { name: 'temporal', ok: true, detail: `external: ${env.TEMPORAL_ADDRESS}`, remedy: '', fatal: true };
  }
  const found = await findTemporal(env);
  const ok = found !== undefined;
  const remedy = ok ? '' : 'The next start downloads or builds it (about 5 minutes once).';
  return { name: 'temporal', ok, detail: found ?? 'no Temporal executable yet', remedy, fatal: false };
}

function postgresResult(env: NodeJS.ProcessEnv): PreflightResult {
  if (env.DATABASE_URL !== undefined && env.DATABASE_URL !== '') {
    return { name: 'postgres', ok: true, detail: 'external: DATABASE_URL is set', remedy: '', fatal: true };
  }
  try {
    const { version, binDir } = packagedBinaries();
    return { name: 'postgres', ok: true, detail: `embedded ${version} in ${binDir}`, remedy: '', fatal: true };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { name: 'postgres', ok: false, detail, remedy: 'Run: npm ci', fatal: true };
  }
}

function fettleVersion(): string {
  const manifest = readJson(join(CHECKOUT, 'package.json'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}
