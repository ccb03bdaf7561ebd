import { stringify } from 'yaml';
import { resolveDataDir } from './data-dir.js';
import { EXIT, type Output } from './output.js';
import { readRunningState } from './stack-state.js';

export interface StatusOptions {
  readonly dataDir?: string | undefined;
  readonly output?: 'table' | 'json' | 'yaml' | undefined;
}

/** `fettle status`: `{url, dataDir, children: [{name, pid}]}`. @returns 0 when it runs, 1 when not (url is null then). */
export function statusCommand(
  options: StatusOptions,
  output: Output,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const dataDir = resolveDataDir(options.dataDir, env);
  const state = readRunningState(dataDir);
  const status = {
    url: state?.url ?? null,
    dataDir: dataDir.path,
    children: (state?.children ?? []).map(({ name, pid }) => ({ name, pid })),
  };
  const format = options.output ?? 'table';
  if (format === 'json') output.stdout.write(`${JSON.stringify(status)}\n`);
  else if (format === 'yaml') output.stdout.write(stringify(status));
  else if (state === undefined)
    output.stderr.write(`Fettle does not run on ${dataDir.path}; \`fettle up\` starts it.\n`);
  else {
    output.stdout.write(`${state.phase}: ${state.url} (data in ${dataDir.path}, since ${state.startedAt})\n`);
    for (const { name, pid } of status.children) output.stdout.write(`  ${name.padEnd(12)} process ${pid}\n`);
  }
  return Promise.resolve(state === undefined ? EXIT.error : EXIT.ok);
}
