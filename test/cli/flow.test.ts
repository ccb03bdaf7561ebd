import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail, RunSummary } from '@fettle/contracts';
import { CliStack } from './cli-stack.js';

const runbooks = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: asks}
spec:
  steps:
    - id: size
      wait:
        signal: size
        payload: {type: object, required: [number], properties: {number: {type: integer}}}
        timeout: 1m
      outputs: {number: result.number}
  outputs: {number: steps.size.number}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: delegates}
spec:
  steps:
    - {id: ask, call: {runbook: asks}, outputs: {number: result.number}}
  summary: came to \${{ steps.ask.number }}
`;

describe('signals and sub-runs from the command line', () => {
  let cli: CliStack;

  beforeAll(async () => {
    cli = await CliStack.start(1);
    const file = await cli.write('runbooks.yaml', runbooks);
    expect(await cli.fettle(['apply', '-f', file])).toMatchObject({ exitCode: 0 });
  }, 180_000);
  afterAll(() => cli?.stop(), 60_000);

  async function show(id: string): Promise<RunDetail> {
    return JSON.parse((await cli.fettle(['run', 'show', id, '-o', 'json'])).stdout) as RunDetail;
  }

  async function until<Found>(what: string, find: () => Promise<Found | undefined>): Promise<Found> {
    for (let tries = 0; tries < 100; tries += 1) {
      const found = await find();
      if (found !== undefined) return found;
      await sleep(100);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  it('sends a signal to a sub-run and shows what came of both', async () => {
    const started = await cli.fettle(['run', 'start', 'delegates', '-o', 'json']);
    const { id } = JSON.parse(started.stdout) as RunSummary;
    const below = await until('a sub-run', async () => (await show(id)).subRuns?.[0]);
    expect(below).toMatchObject({ depth: 1, step: 'ask', runbook: 'asks' });
    const waits = await until('the step waits', async () => (await show(below.id)).controlSteps[0]);
    expect(waits).toMatchObject({ step: 'size', state: 'started' });
    const wrong = await cli.fettle(['run', 'signal', below.id, 'size', '--payload', '{"number": "many"}']);
    expect(wrong.exitCode).not.toBe(0);
    expect(wrong.stderr).toMatch(/payload of signal "size" does not fit/);
    const unknown = await cli.fettle(['run', 'signal', below.id, 'colour']);
    expect(unknown.stderr).toMatch(/No step of this run's runbook waits for a signal "colour".*"size"/s);
    const sent = await cli.fettle(['run', 'signal', below.id, 'size', '--payload', '{"number": 7}']);
    expect(sent).toMatchObject({ exitCode: 0, stdout: `${below.id}\n` });
    expect((await cli.fettle(['run', 'follow', id])).exitCode).toBe(0);
    expect(await show(id)).toMatchObject({ state: 'succeeded', summary: 'came to 7' });
    expect(await show(below.id)).toMatchObject({ outputs: { number: 7 }, calledBy: { runId: id, step: 'ask' } });
    const text = (await cli.fettle(['run', 'show', id])).stdout;
    expect(text).toMatch(/^summary +came to 7$/m);
    expect(text).toMatch(new RegExp(`^ask +asks +succeeded +${below.id}`, 'm'));
    expect((await cli.fettle(['run', 'list'])).stdout).not.toContain(below.id);
    expect((await cli.fettle(['run', 'list', '--sub-runs'])).stdout).toContain(below.id);
  }, 180_000);
});
