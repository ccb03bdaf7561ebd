import { createRequire } from 'node:module';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkerProcess } from './stack.js';

/** One place of the workflow bundle, as it is and as it must not be. */
export interface Mutation {
  readonly is: RegExp;
  readonly becomes: string;
}

/** What carries the engine's commands out for a real server, each broken in one place. */
export const brokenAdapters = {
  'forgets to move targets': { is: /if \(command\.enters\)/, becomes: 'if (false)' },
  'drops the notes': {
    is: /decisions\.push\(command\);/,
    becomes: "if (command.kind !== 'note') decisions.push(command);",
  },
  'takes every failure for a success': {
    is: /this\.tell\(event\);/,
    becomes: `this.tell(event.kind === 'ended' && event.state === 'failed' ? { ...event, state: 'succeeded', output: null } : event);`,
  },
  'takes what is to be undone for undone': {
    is: /return undoSegment\(run, command\);/,
    becomes: "return Promise.resolve({ kind: 'ended', path: command.path, state: 'succeeded' });",
  },
  'leaves out the finally after a cancel': {
    is: /return onlyFinally\(run, work\);/,
    becomes: `return Promise.resolve({ kind: 'segment-ended', path: command.path, counts: run.claimed.counts,
      ...(command.wave === undefined ? {} : { wave: command.wave.number }) });`,
  },
} as const satisfies Record<string, Mutation>;
export type BrokenAdapter = keyof typeof brokenAdapters;

const required = createRequire(import.meta.url);
const BUNDLE = '@fettle/workflows/bundle';

export function startBrokenWorker(environment: NodeJS.ProcessEnv, which: BrokenAdapter): Promise<WorkerProcess> {
  return startChangedWorker(environment, brokenAdapters[which]);
}

/**
 * The real worker's process with workflows that are other in one place. Nothing in the worker knows of it: another bundle is found
 * under the name of the true one. Throws where the place is not there any more, or is there twice.
 */
export async function startChangedWorker(
  environment: NodeJS.ProcessEnv,
  { is, becomes }: Mutation,
): Promise<WorkerProcess> {
  const bundle = await readFile(required.resolve(BUNDLE), 'utf8');
  const places = bundle.split(is).length - 1;
  if (places !== 1) throw new Error(`${String(is)} is in the workflow bundle ${places} times, not once`);
  const folder = await mkdtemp(join(tmpdir(), 'fettle-broken-'));
  const [broken, hook] = [join(folder, 'bundle.cjs'), join(folder, 'hook.cjs')];
  await writeFile(
    broken,
    bundle.replace(is, () => becomes),
  );
  await writeFile(
    hook,
    `const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  return name === ${JSON.stringify(BUNDLE)} ? ${JSON.stringify(broken)} : resolve.call(this, name, ...rest);
};
`,
  );
  try {
    const options = `${environment['NODE_OPTIONS'] ?? ''} --require ${hook}`.trim();
    return await WorkerProcess.start({ ...environment, NODE_OPTIONS: options });
  } finally {
    // Both have been read by then.
    await rm(folder, { recursive: true, force: true });
  }
}
