import { describe, expect, it } from '@jest/globals';
import { managerFailure, shownCommand, type HostCommandEnd } from '../provider.js';
import { waitingForOthers } from './wait-for-others.js';

const locked: HostCommandEnd = { exitCode: 200, stdout: '', stderr: 'already locked by 7' };
const ended: HostCommandEnd = { exitCode: 0, stdout: 'done', stderr: '' };
const dnf = ['dnf', '-q', '--setopt=exit_on_lock=True', '-C', 'repoquery', '--upgrades', '--qf', '%{name}'];

function host(ends: HostCommandEnd[], lockWaitMs?: number) {
  const pauses: number[] = [];
  const notes: string[] = [];
  const commands = waitingForOthers({
    host: 'web1',
    note: (text) => void notes.push(text),
    sleep: (ms) => Promise.resolve(void pauses.push(ms)),
    run: () => Promise.resolve(ends.shift() ?? ended),
    ...(lockWaitMs === undefined ? {} : { lockWaitMs }),
  });
  return { commands, pauses, notes };
}

describe('another dnf at work', () => {
  it('is waited for, and told once', async () => {
    const { commands, pauses, notes } = host([locked, locked], 60_000);
    expect(await commands.run(dnf)).toEqual(ended);
    expect([pauses.length, notes.length]).toEqual([2, 1]);
  });

  it('is named where it takes longer than the step says, for all calls together', async () => {
    const { commands } = host([locked, ended, locked, locked], 4_000);
    expect(await commands.run(dnf)).toEqual(ended);
    await expect(commands.run(dnf)).rejects.toMatchObject({
      code: 'package-lock-held',
      message: expect.stringMatching(/^web1: "dnf repoquery --upgrades" ended with exit code 200: already locked by 7/),
    });
    await expect(host([locked]).commands.run(dnf)).rejects.toMatchObject({ code: 'package-lock-held' });
    // What other programs end with means something else.
    expect(await host([locked]).commands.run(['rpm', '-V'])).toEqual(locked);
  });
});

describe('a command in a message', () => {
  it('is told by what it does', () => {
    expect(managerFailure('web1', dnf, locked, 'package-lock-held', '').message).toMatch(/"dnf repoquery --upgrades"/);
    expect(shownCommand(['rpm', '-qa', '--qf', '%{NAME}'])).toBe('rpm -qa --qf');
    expect(shownCommand(['dnf', '--version'])).toBe('dnf --version');
  });
});
