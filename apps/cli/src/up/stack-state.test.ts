import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { dataDirAt, readPorts, type DataDir } from './data-dir.js';
import { identifyProcess, isStillRunning } from './process-identity.js';
import { acquireLock, endOrphans, findLocalStack, readState, writeState, type StackState } from './stack-state.js';

let dataDir: DataDir;
beforeEach(() => {
  dataDir = dataDirAt(mkdtempSync(join(tmpdir(), 'fettle-state-')));
});
afterEach(() => rmSync(dataDir.path, { recursive: true, force: true }));

function ownIdentity() {
  const identity = identifyProcess(process.pid);
  if (identity === undefined) throw new Error('this process is unknown');
  return identity;
}

function stateWith(change: Partial<StackState>): StackState {
  const base = {
    phase: 'ready' as const,
    url: 'http://127.0.0.1:1',
    dataDir: dataDir.path,
    startedAt: '2026-01-01T00:00:00.000Z',
  };
  return { ...base, supervisor: ownIdentity(), children: [], ...change };
}

describe('the lock', () => {
  it('is held once, and free after its release', () => {
    const lock = acquireLock(dataDir);
    expect(() => acquireLock(dataDir)).toThrow('runs already');
    lock.release();
    acquireLock(dataDir).release();
    expect(readdirSync(dataDir.path)).toEqual([]);
  });

  it('is taken over from a process that is gone, or was never whole', () => {
    for (const text of [JSON.stringify({ ...ownIdentity(), startedAt: 'another-boot:1' }), 'half a li', '']) {
      writeFileSync(dataDir.lockFile, text);
      acquireLock(dataDir).release();
    }
    expect(readdirSync(dataDir.path)).toEqual([]);
  });
});

describe('the state', () => {
  it('gives commands the address and token only while the supervisor lives', () => {
    writeFileSync(dataDir.tokenFile, 'fettle_x\n');
    expect(findLocalStack(dataDir.path)).toBeUndefined();
    writeState(dataDir, stateWith({}));
    expect(findLocalStack(dataDir.path)).toEqual({
      url: 'http://127.0.0.1:1',
      token: 'fettle_x',
      dataDir: dataDir.path,
    });
    writeState(dataDir, stateWith({ supervisor: { ...ownIdentity(), startedAt: 'another-boot:1' } }));
    expect(findLocalStack(dataDir.path)).toBeUndefined();
  });

  it('that is damaged counts as none', () => {
    for (const text of ['', '[]', '{"children": 3}', '{"supervisor": {"pid": -1}}']) {
      writeFileSync(dataDir.stateFile, text);
      expect(readState(dataDir)).toBeUndefined();
    }
  });

  it('ends recorded orphans and leaves a process that merely has the number of one', async () => {
    const [orphan, stranger] = [1, 2].map(() => spawn('sleep', ['60'], { stdio: 'ignore' }));
    const [orphanId, strangerId] = [identifyProcess(orphan?.pid ?? -1), identifyProcess(stranger?.pid ?? -1)];
    if (!orphan || !stranger || !orphanId || !strangerId) throw new Error('sleep does not run');
    const children = [
      { name: 'worker', ...orphanId },
      { name: 'api', ...strangerId, startedAt: 'another-boot:1' },
    ];
    writeState(dataDir, stateWith({ children }));
    const lines: string[] = [];
    await endOrphans(dataDir, (line) => lines.push(line));
    expect(lines).toEqual([`ending worker (process ${orphanId.pid}), which an earlier start left behind`]);
    expect([isStillRunning(orphanId), isStillRunning(strangerId)]).toEqual([false, true]);
    expect(readState(dataDir)).toBeUndefined();
    stranger.kill('SIGKILL');
    await once(stranger, 'exit');
  });
});

describe('remembered ports', () => {
  it.each(['', '{}', '{"postgres": "x", "temporal": 70000}', '[]', '{"postgres": 1.5}'])('ignore %j', (text) => {
    writeFileSync(dataDir.portsFile, text);
    expect(readPorts(dataDir)).toEqual({});
  });

  it('are read back', () => {
    writeFileSync(dataDir.portsFile, '{"postgres": 5433, "temporal": 7234}');
    expect(readPorts(dataDir)).toEqual({ postgres: 5433, temporal: 7234 });
  });
});
