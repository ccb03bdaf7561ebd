import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from './process-identity.js';

export const DEFAULT_MAX_LOG_BYTES = 10 * 2 ** 20;
const KEPT_FILES = 3;

/** A log file that is renamed to `.1`, `.2`, `.3` as it fills up, so that one child can never fill the disk. */
export class RotatingLog {
  #descriptor: number;
  #sizeBytes: number;

  constructor(
    private readonly path: string,
    private readonly maxBytes = DEFAULT_MAX_LOG_BYTES,
  ) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#descriptor = openSync(path, 'a', 0o600);
    this.#sizeBytes = fstatSync(this.#descriptor).size;
  }

  /** Written at once: what a child said last must be there even when this process is killed. */
  write(chunk: string | Buffer): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (this.#sizeBytes > 0 && this.#sizeBytes + bytes.length > this.maxBytes) this.#rotate();
    try {
      for (let written = 0; written < bytes.length;) written += writeSync(this.#descriptor, bytes, written);
      this.#sizeBytes += bytes.length;
    } catch (error) {
      // A full disk costs log lines, not the stack.
      if (errorCode(error) !== 'ENOSPC') throw error;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #rotate(): void {
    closeSync(this.#descriptor);
    for (let index = KEPT_FILES - 1; index >= 1; index--)
      renameIfThere(`${this.path}.${index}`, `${this.path}.${index + 1}`);
    renameIfThere(this.path, `${this.path}.1`);
    this.#descriptor = openSync(this.path, 'a', 0o600);
    this.#sizeBytes = fstatSync(this.#descriptor).size;
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
