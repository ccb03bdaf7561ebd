import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { endProcess, identifyProcess, isStillRunning, parseProcStat } from './process-identity.js';

async function startSleeper(ignoringTerm = false) {
  const script = `${ignoringTerm ? "process.on('SIGTERM', () => undefined);" : ''} process.stdout.write('up'); setInterval(() => 1, 1000)`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const identity = identifyProcess(child.pid ?? -1);
  if (identity === undefined) throw new Error('it does not run');
  return { child, identity };
}

describe('parseProcStat', () => {
  it('counts fields after the last parenthesis of a hostile name', () => {
    const rest = Array.from({ length: 18 }, (_, index) => index).join(' ');
    expect(parseProcStat(`12 (evil) S 1) (x) R ${rest} 98765 0`)).toEqual({ state: 'R', startTicks: '98765' });
    expect(parseProcStat('12 (short) R 1')).toBeUndefined();
  });
});

describe('process identity', () => {
  it('knows this process, and no process where there is none', () => {
    expect(identifyProcess(process.pid)?.commandLine).toContain('node');
    for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 22 + 1]) expect(identifyProcess(pid)).toBeUndefined();
  });

  it('ends a process, with a stronger signal where the first does not help', async () => {
    const { child, identity } = await startSleeper(true);
    const exited = once(child, 'exit');
    const ended = await endProcess(identity, [
      { signal: 'SIGTERM', waitMs: 200 },
      { signal: 'SIGKILL', waitMs: 5000 },
    ]);
    expect(ended).toBe(true);
    expect(await exited).toEqual([null, 'SIGKILL']);
    expect(isStillRunning(identity)).toBe(false);
  });

  it('never signals a later process that has the same number', async () => {
    const { child, identity } = await startSleeper();
    const earlier = { ...identity, startedAt: 'another-boot:1' };
    expect(await endProcess(earlier, [{ signal: 'SIGKILL', waitMs: 200 }])).toBe(true);
    expect(isStillRunning(identity)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
