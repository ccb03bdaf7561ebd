import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ChildSpec, HealthCheck } from './managed-child.js';
import { delay } from './process-identity.js';
import { Supervisor } from './supervisor.js';

let folder: string;
let supervisor: Supervisor;
let told: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fettle-supervisor-'));
  told = [];
  supervisor = new Supervisor({
    logFor: () => ({ write: () => undefined }),
    report: (line) => told.push(line),
    onChange: () => undefined,
  });
});

afterEach(async () => {
  await supervisor.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs until it is told to end, and writes a line for each of its lives. */
function child(health: HealthCheck): ChildSpec {
  return {
    name: 'server',
    command: '/bin/sh',
    args: ['-c', 'echo started >> lives; echo ready; exec sleep 600'],
    env: { PATH: process.env.PATH },
    cwd: folder,
    user: undefined,
    readiness: { kind: 'line', matches: (line) => line === 'ready' },
    readyTimeoutMs: 10_000,
    health,
    stop: [{ signal: 'SIGTERM', waitMs: 5_000 }],
  };
}

/** Answers as it is told, the last answer for ever. */
function answering(...answers: boolean[]): HealthCheck & { readonly asked: () => number } {
  let asked = 0;
  return {
    isHealthy: () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)] ?? true),
    intervalMs: 20,
    maxFailures: 3,
    asked: () => asked,
  };
}

async function until(holds: () => boolean): Promise<void> {
  const endsAtMs = Date.now() + 20_000;
  while (!holds() && Date.now() < endsAtMs) await delay(20);
  expect(holds()).toBe(true);
}

const lives = (): number => readFileSync(join(folder, 'lives'), 'utf8').trim().split('\n').length;

describe('Supervisor', () => {
  it('stops and starts anew a child that runs and does not answer', async () => {
    const health = answering(true, false, false, false, true);
    await supervisor.start(child(health));
    const [first] = supervisor.running;
    await until(() => told.length > 0);
    expect(told).toEqual(['server ran but did not answer 3 times in a row; restart 1 of 5 in 250 ms']);
    await until(() => health.asked() > 6);
    expect(lives()).toBe(2);
    expect(supervisor.running).toHaveLength(1);
    expect(supervisor.running[0]?.pid).not.toBe(first?.pid);
  }, 60_000);

  it('lets a child be that is late now and then', async () => {
    const health = answering(false, false, true, false, false, true, false, true);
    await supervisor.start(child(health));
    await until(() => health.asked() > 12);
    expect(told).toEqual([]);
    expect(lives()).toBe(1);
  }, 60_000);

  it('asks again in the next life of a child that ended by itself', async () => {
    const health = answering(true);
    await supervisor.start(child(health));
    const [first] = supervisor.running;
    process.kill(first?.pid ?? 0, 'SIGKILL');
    await until(() => told.length > 0);
    expect(told[0]).toContain('server ended (signal SIGKILL)');
    await until(() => supervisor.running.length === 1);
    const asked = health.asked();
    await until(() => health.asked() > asked + 2);
    expect(lives()).toBe(2);
  }, 60_000);

  it('gives a child up that never answers for long', async () => {
    await supervisor.start(child(answering(false)));
    const reason = await supervisor.gaveUp;
    expect(reason.message).toContain('did not answer 3 times in a row');
    expect(supervisor.running).toEqual([]);
  }, 60_000);
});
