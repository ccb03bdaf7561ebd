import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { FettleError } from '@fettle/contracts';
import { assetGather, gatherNames, type GatherName } from '../contracts.js';
import { targetAction, type TargetContext } from '../implementation.js';
import { parseFacts } from './parse-facts.js';

/** A list of all packages of a host stays well below this; more is cut and then not believed. */
const MAX_COMMAND_BYTES = 4_194_304;

/** Standard output of one read-only command; null where it failed, gave nothing or gave too much. */
async function readCommand(argv: readonly string[], context: TargetContext, timeoutMs: number): Promise<string | null> {
  const chunks: Buffer[] = [];
  const result = await context.ssh.exec(context.endpoint, context.credential, {
    argv,
    timeoutMs,
    signal: context.signal,
    maxOutputBytes: MAX_COMMAND_BYTES,
    onOutput: (stream, chunk) => {
      if (stream === 'stdout') chunks.push(chunk);
    },
  });
  if ('signal' in result || result.exitCode !== 0 || result.truncated) return null;
  return new TextDecoder().decode(Buffer.concat(chunks)).replaceAll('\0', '\uFFFD');
}

function tookTooLong({ asset, timeoutMs }: TargetContext): FettleError {
  return new FettleError({
    code: 'command-timeout',
    message: `The commands that read facts did not all end within ${timeoutMs} ms on ${asset.name}.`,
    remedy: 'Raise the timeout of the step, or leave out the packages.',
  });
}

export const gatherFacts = targetAction(assetGather, async (input, context, { argv }) => {
  const endsAtMs = performance.now() + context.timeoutMs;
  const texts: Partial<Record<GatherName, string | null>> = {};
  for (const [index, name] of gatherNames(input).entries()) {
    // One after the other: a host is asked politely, and its connection is shared with other work.
    const remainingMs = Math.ceil(endsAtMs - performance.now());
    if (remainingMs <= 0) throw tookTooLong(context);
    texts[name] = await readCommand(argv[index]!, context, remainingMs);
  }
  const gathered = parseFacts(texts);
  if (Object.keys(gathered.facts).length === 0) {
    return {
      state: 'failed',
      exitCode: null,
      error: { code: 'no-facts', message: `None of the commands that read facts worked on ${context.asset.name}.` },
      output: null,
    };
  }
  await context.saveFacts(gathered);
  context.output('stdout', Buffer.from(`facts: ${Object.keys(gathered.facts).join(', ')}\n`));
  return {
    state: 'succeeded',
    exitCode: null,
    error: null,
    output: {
      os: gathered.os,
      ...(gathered.kernel === undefined ? {} : { kernel: gathered.kernel }),
      ...(gathered.packageCount === undefined ? {} : { packageCount: gathered.packageCount }),
      missing: [...gathered.missing],
    },
  };
});
