import { createInterface } from 'node:readline/promises';
import { InterruptedError } from './errors.js';
import type { CliHost } from './host.js';

/** True: a person sits there who can be asked. Pipes and scripts are not. */
export function canAsk({ stdin, stderr }: CliHost): boolean {
  return 'isTTY' in stdin && stdin.isTTY && stderr.isTTY === true;
}

/** Asks on stderr; true only for `y` or `yes`. The end of the input is no. @throws InterruptedError for Ctrl-C */
export async function askYes(host: CliHost, question: string): Promise<boolean> {
  const lines = createInterface({ input: host.stdin, terminal: false });
  const interrupted = host.interruption();
  const stop = (): void => lines.close();
  interrupted.addEventListener('abort', stop);
  host.stderr.write(`${question} [y/N] `);
  try {
    for await (const line of lines) return /^\s*y(es)?\s*$/i.test(line);
    host.stderr.write('\n');
    if (interrupted.aborted) throw new InterruptedError();
    return false;
  } finally {
    interrupted.removeEventListener('abort', stop);
    lines.close();
  }
}
