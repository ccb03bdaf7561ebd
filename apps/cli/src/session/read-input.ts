import { readFile } from 'node:fs/promises';
import { FettleError } from '@fettle/contracts';
import { InterruptedError, messageOf, systemCode } from './errors.js';
import type { CliHost } from './host.js';

/** More than any document, inventory file or secret of sense; a wrong file must not fill the memory. */
const MAX_STDIN_BYTES = 268_435_456;

/** Text of a file, or of standard input where the name is `-`. */
export async function readText(host: CliHost, file: string): Promise<string> {
  if (file === '-') return readStdin(host);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const why = systemCode(error) === 'ENOENT' ? 'there is no such file' : messageOf(error);
    throw new FettleError({ code: 'unreadable-file', message: `${file} cannot be read: ${why}`, cause: error });
  }
}

export async function readStdin(host: CliHost, maxBytes = MAX_STDIN_BYTES): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const signal = host.interruption();
  for await (const part of host.stdin as AsyncIterable<Buffer | string>) {
    if (signal.aborted) throw new InterruptedError();
    const buffer = typeof part === 'string' ? Buffer.from(part) : part;
    bytes += buffer.length;
    if (bytes > maxBytes)
      throw new FettleError({ code: 'limit-exceeded', message: `standard input holds more than ${maxBytes} bytes` });
    parts.push(buffer);
  }
  return Buffer.concat(parts).toString('utf8');
}
