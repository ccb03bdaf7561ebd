import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';

/** A POSIX shell that somebody types into, block by block: what one sets, the next one knows. */
export class GuideShell {
  readonly #child: ChildProcess;
  #output = '';
  #heard: () => void = () => undefined;

  constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.#child = spawn('sh', ['-s'], { cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (part: Buffer) => {
        this.#output += part.toString();
        this.#heard();
      });
    this.#child.once('close', () => this.#heard());
  }

  /** What a block says, on both streams in their order. Throws where a command of it fails, which ends the shell. */
  async run(block: string, timeoutMs: number): Promise<string> {
    const mark = `said-${randomBytes(8).toString('hex')}`;
    this.#output = '';
    // What the commands read is not what is typed next.
    this.#child.stdin?.write(`set -e\n{\n${block}\n} </dev/null 2>&1\nprintf '\\n%s\\n' ${mark}\n`);
    const giveUpAtMs = Date.now() + timeoutMs;
    while (!this.#output.includes(`\n${mark}\n`)) {
      const { exitCode, signalCode } = this.#child;
      const end = exitCode ?? signalCode;
      if (end !== null) throw new Error(`the shell ended with ${end}:\n${block}\n${this.#output}`);
      if (Date.now() > giveUpAtMs) throw new Error(`not done after ${timeoutMs} ms:\n${block}\n${this.#output}`);
      await this.#more(1_000);
    }
    return this.#output.slice(0, this.#output.indexOf(`\n${mark}\n`));
  }

  /** Ends it with all that it has started. */
  stop(): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
  }

  #more(atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, atMostMs);
      this.#heard = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
