import { InterruptedError } from './errors.js';
import { FettleError } from '@fettle/contracts';
import type { CliHost } from './host.js';
import { readStdin } from './read-input.js';

const MAX_SECRET_CHARACTERS = 65_536;

/** A secret from standard input, or typed without echo where that is a terminal. It is never an argument: `ps` shows those. */
export async function askSecret(host: CliHost, prompt: string): Promise<string> {
  const { stdin } = host;
  if (!('isTTY' in stdin && stdin.isTTY && 'setRawMode' in stdin)) return readStdin(host, MAX_SECRET_CHARACTERS * 4);
  host.stderr.write(`${prompt}: `);
  stdin.setRawMode(true);
  try {
    return await readTyped(stdin);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    host.stderr.write('\n');
  }
}

function readTyped(stdin: NodeJS.ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = '';
    const finish = (settle: () => void): void => {
      stdin.off('data', take);
      settle();
    };
    const take = (chunk: Buffer): void => {
      for (const character of chunk.toString('utf8')) {
        if (character === '\u0003') return finish(() => reject(new InterruptedError()));
        if (character === '\r' || character === '\n' || character === '\u0004') return finish(() => resolve(typed));
        typed = character === '\u007f' || character === '\b' ? [...typed].slice(0, -1).join('') : typed + character;
        if (typed.length > MAX_SECRET_CHARACTERS) {
          return finish(() => reject(new FettleError({ code: 'limit-exceeded', message: 'the secret is too long' })));
        }
      }
    };
    stdin.on('data', take);
    stdin.resume();
  });
}
