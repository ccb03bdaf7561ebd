import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RotatingLog } from './rotating-log.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fettle-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('RotatingLog', () => {
  it('keeps the newest text in at most four files of bounded size', () => {
    const log = new RotatingLog(join(folder, 'x.log'), 100);
    for (let line = 0; line < 100; line++) log.write(`${String(line).padStart(9, '0')}\n`);
    log.close();
    expect(readdirSync(folder).sort()).toEqual(['x.log', 'x.log.1', 'x.log.2', 'x.log.3']);
    const text = ['x.log.3', 'x.log.2', 'x.log.1', 'x.log']
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
    const kept = text.trimEnd().split('\n').map(Number);
    expect(kept.at(-1)).toBe(99);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => 100 - kept.length + index));
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(100);
  });

  it('goes on where the last start ended, readable by the owner alone', () => {
    const path = join(folder, 'logs', 'x.log');
    for (const text of ['one\n', 'two\n']) {
      const log = new RotatingLog(path);
      log.write(text);
      log.close();
    }
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(statSync(path).mode & 0o077).toBe(0);
  });
});
