import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { StartScanner, wrapCommand, type StartEvent } from './wrapper.js';

const endpoint = { host: '127.0.0.1', port: 22, user: 'someone', hostKeys: [] };

function scan(stderr: Buffer, step: number, command = wrapCommand(endpoint, { argv: ['true'] })): StartEvent[] {
  const scanner = new StartScanner(command);
  const events: StartEvent[] = [];
  for (let at = 0; at < stderr.length && !events.some((event) => event.kind === 'started'); at += step) {
    events.push(...scanner.feed(stderr.subarray(at, at + step)));
  }
  return events;
}

describe('wrapCommand', () => {
  it('runs in a real shell, which becomes the command', () => {
    const command = wrapCommand(endpoint, {
      argv: ['sh', '-c', 'echo "$A $PWD $$"; echo own >&2'],
      env: { A: "it's" },
      cwd: '/usr',
    });
    const ran = spawnSync('/bin/sh', ['-c', command.line], { encoding: 'buffer' });
    const events = scan(ran.stderr, 1_000, command);
    expect(events.map((event) => event.kind)).toEqual(['login', 'started']);
    expect(ran.stdout.toString()).toBe(`it's /usr ${(events[0] as { pid: number }).pid}\n`);
    expect(events[1]).toMatchObject({ becomePid: undefined });
    expect((events[1] as { rest: Buffer }).rest.toString()).toBe('own\n');
  });

  it('asks sudo only for another user', () => {
    expect(wrapCommand(endpoint, { argv: ['id'], become: { user: 'someone' } }).becomes).toBe(false);
    const command = wrapCommand(endpoint, { argv: ['id'], become: { password: 'hunter22' } });
    expect(command).toMatchObject({ becomes: true, prompt: `[${command.nonce}-password]` });
    expect(command.line).not.toContain('hunter22');
    expect(() => wrapCommand(endpoint, { argv: ['id'], become: { user: '-s' } })).toThrow(/user name/);
  });
});

describe('StartScanner', () => {
  it('finds where the command begins, however the stream is cut and whatever came before', () => {
    const command = wrapCommand(endpoint, { argv: ['true'], become: { password: 'x' } });
    const { nonce } = command;
    const before = `noise without end of line\n${nonce}-login 1x\n+ printf '\\n%s %s\\n' ${nonce}-login 41`;
    const text = `${before}\n${nonce}-login 4711\nlecture${command.prompt}\n${nonce}-become 4713\nown\xff`;
    for (const step of [1, 2, 7, 64, 10_000]) {
      const events = scan(Buffer.from(text, 'latin1'), step, command);
      const kinds = events.map((event) => event.kind);
      expect(kinds.slice(0, 1)).toEqual(['login']);
      expect(kinds.at(-1)).toBe('started');
      expect(events[0]).toMatchObject({ pid: 4711 });
      expect(events.at(-1)).toMatchObject({ becomePid: 4713 });
    }
    expect(scan(Buffer.from(text, 'latin1'), 1, command).map((event) => event.kind)).toEqual([
      'login',
      'prompt',
      'started',
    ]);
  });

  it('keeps little of a shell that never begins', () => {
    const scanner = new StartScanner(wrapCommand(endpoint, { argv: ['true'] }));
    for (let index = 0; index < 100; index += 1) scanner.feed(Buffer.alloc(50_000, 'x'));
    expect(scanner.startText().length).toBeLessThanOrEqual(2_000);
  });
});
