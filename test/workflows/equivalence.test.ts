import { mkdtemp, chmod, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { actionContracts } from '@fettle/activities/contracts';
import { FettleError, runbookDocumentSchema, type RunbookSpec } from '@fettle/contracts';
import { cancelRun, decideApproval, signalRun } from '@fettle/operations';
import type { advance } from '@fettle/runbook';
import { simulate, type Script, type SimulateRequest } from '@fettle/runbook/source';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { brokenAdapters, startBrokenWorker, type BrokenAdapter } from '../support/broken-worker.js';
import { brokenEngines } from '../support/broken-engines.js';
import { FateService } from '../support/fate-service.js';
import { hangingIn, isOrdered, untilHanging } from '../support/hanging-steps.js';
import { generateRunbook, type GeneratedRunbook } from '../support/generated-runbooks.js';
import { comparable, historyOf, readHistory, type ComparableHistory, type RunHistory } from '../support/run-history.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
const isLong = process.env['FETTLE_LONG'] === '1';
const runbookCount = Number(process.env['FETTLE_RUNBOOKS'] ?? (isLong ? 300 : 30));
process.stdout.write(`equivalence.test.ts: FETTLE_SEED=${seed}\n`);
/** Runs that are executed at the same time. */
const AT_ONCE = 6;
const TARGETS = 3;

interface Sequence {
  readonly seed: number;
  readonly count: number;
  readonly prefix: string;
  readonly firstNumber: number;
}

/** Fixed, so that a broken engine is always told apart, however few the runbooks of the random sequence are. */
const telling: Sequence = { seed: 1, count: 1000, prefix: 'telling', firstNumber: 100_000 };

function parsedSpec(name: string, spec: Record<string, unknown>): RunbookSpec {
  return runbookDocumentSchema.parse({ apiVersion: 'fettle/v1', kind: 'Runbook', metadata: { name }, spec }).spec;
}

/** The same fates for the pure host. */
function scriptOf({ fates, signals, cancelAt, cancelOn }: GeneratedRunbook): Script {
  /** Looks of a run's gate, which are attempts of several steps: one after each wave. */
  const looks = new Map<string, number>();
  return {
    attempt({ id: step, phase, target, attempt: number, uses, input }) {
      let [id, attempt] = [step, number];
      if (step.includes('#gate')) {
        const { url } = input as { readonly url: string };
        attempt = (looks.get(url) ?? 0) + 1;
        looks.set(url, attempt);
        id = url.split('.').at(-1) ?? '';
      }
      const fate = fates.get(id);
      const given = (phase === 'undo' ? fate?.undoFails : fate?.fails) ?? 0;
      const fails = typeof given === 'number' ? given : (given[Number(target?.slice(-3))] ?? 0);
      const isWell = attempt > fails;
      const isCancelled = (id === cancelAt || id === cancelOn) && phase === 'do';
      const fault = isCancelled ? ('cancel' as const) : undefined;
      const base = { takesMs: 1000, fault };
      if (uses === 'file.put' || uses === 'file.restore') {
        const result = uses === 'file.put' ? { changed: true, sha256: '' } : { result: 'restored' };
        if (isWell) return { ...base, state: 'succeeded', exitCode: null, error: null, result };
        return {
          ...base,
          state: 'failed',
          exitCode: null,
          error: { code: 'file-put-failed', message: '' },
          result: {},
        };
      }
      if (target !== null) {
        const result = { exitCode: isWell ? 0 : 1, stdout: '', stderr: '', truncated: false };
        if (isWell) return { ...base, state: 'succeeded', exitCode: 0, error: null, result };
        return { ...base, state: 'failed', exitCode: 1, error: { code: 'command-failed', message: '' }, result };
      }
      const result = { status: isWell ? 200 : fate?.isPoll === true ? 503 : 500, body: '', truncated: false };
      if (isWell || fate?.isPoll === true) return { ...base, state: 'succeeded', exitCode: null, error: null, result };
      return { ...base, state: 'failed', exitCode: null, error: { code: 'http-status', message: '' }, result };
    },
    decisions({ path }) {
      const decision = fates.get(path.slice(path.lastIndexOf('/') + 1))?.decision ?? 'nothing';
      return decision === 'nothing' ? [] : [{ decision, by: 'tester', reason: 'as generated', afterMs: 100 }];
    },
    signals: signals.map(({ name, payload }) => ({ name, payload, afterMs: 0 })),
  };
}

function requestOf(name: string, generated: GeneratedRunbook): SimulateRequest {
  return {
    runbook: name,
    spec: parsedSpec(name, generated.spec),
    runbooks: new Map([...generated.called].map(([called, spec]) => [called, parsedSpec(called, spec)])),
    inputs: { n: 3 },
    estate: Array.from({ length: TARGETS }, (_, number) => ({
      name: `host-00${number}`,
      kind: 'server',
      lifecycle: 'active',
      labels: { group: 'host', number: String(number) },
      facts: {},
      quarantined: false,
    })),
    actions: actionContracts,
    script: scriptOf(generated),
    seed,
    startAtMs: Date.parse('2026-01-01T00:00:00Z'),
  };
}

interface Executed {
  readonly name: string;
  readonly generated: GeneratedRunbook;
  readonly real: ComparableHistory;
  readonly entryCount: number;
}

const adapters = Object.keys(brokenAdapters) as BrokenAdapter[];

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function countEntries({ entries, called }: RunHistory): number {
  return Object.values(called).reduce((sum, run) => sum + countEntries(run), entries.length);
}

describe('generated runbooks', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let service: FateService;
  let folder: string;
  let serviceUrl: string;
  let deciding: Promise<void> | undefined;
  let isOver = false;
  const executed: Executed[] = [];

  beforeAll(async () => {
    [stack, sshd, folder] = await Promise.all([TestStack.create(), startSshd(), mkdtemp('/tmp/fettle-equivalence-')]);
    await chmod(folder, 0o777);
    await stack.addHosts(sshd, TARGETS);
    service = new FateService(async (runId) => {
      await stack.inTransaction((context) => cancelRun(context, runId, {}));
    });
    serviceUrl = await service.listen();
    worker = await stack.startWorker();
    deciding = keepDeciding();
  }, 120_000);

  afterAll(async () => {
    isOver = true;
    await deciding;
    await worker?.stop();
    await service?.close();
    await sshd?.stop();
    await stack?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  /** Decides what is asked, as the fates of the steps say. */
  async function decide(): Promise<void> {
    const asked: { id: string; path: string }[] = await stack.dataSource.query(
      `SELECT id, path FROM approval WHERE state = 'open' ORDER BY id`,
    );
    for (const { id, path } of asked) {
      const decision = service.decisionOn(path.slice(path.lastIndexOf('/') + 1));
      if (decision === 'nothing') continue;
      const request = { decision, reason: 'as generated' };
      await stack
        .inTransaction((context) => decideApproval(context, id, request))
        .catch((error: unknown) => {
          // Its run may have gone past it since.
          if (!(error instanceof FettleError) || error.code !== 'approval-closed') throw error;
        });
    }
  }

  async function keepDeciding(): Promise<void> {
    while (!isOver) {
      await decide();
      await sleep(100);
    }
  }

  function generate(sequence: Sequence): readonly (readonly [string, GeneratedRunbook])[] {
    const tape = fc.array(fc.nat(), { minLength: 500, maxLength: 500 });
    return fc.sample(tape, { seed: sequence.seed, numRuns: sequence.count }).map((words, index) => {
      const name = `${sequence.prefix}-${index}`;
      // The number makes the ids of its steps, which no two runbooks of this file may share.
      const number = sequence.firstNumber + index;
      return [name, generateRunbook(words, { name, number, serviceUrl, folder, targetCount: TARGETS })] as const;
    });
  }

  async function execute(name: string, generated: GeneratedRunbook): Promise<Executed> {
    service.serve(generated);
    for (const [called, spec] of generated.called) await stack.addRunbook(called, spec);
    await stack.addRunbook(name, generated.spec);
    const { id } = await stack.start(name);
    for (const signal of generated.signals) {
      // The run may have gone past its steps already.
      await stack
        .inTransaction((context) => signalRun(context, id, signal))
        .catch((error: unknown) => {
          if (!(error instanceof FettleError) || error.code !== 'run-ended') throw error;
        });
    }
    const hanging = hangingIn(simulate(requestOf(name, generated)), generated);
    if (hanging > 0) {
      await untilHanging(folder, id, hanging);
      await stack.inTransaction((context) => cancelRun(context, id, {}));
    }
    await stack.ended(id, 120_000);
    const history = await readHistory(stack.dataSource, id);
    return { name, generated, real: comparable(history, isOrdered(generated)), entryCount: countEntries(history) };
  }

  const pure = (name: string, generated: GeneratedRunbook, engine?: typeof advance): ComparableHistory =>
    comparable(historyOf(simulate({ ...requestOf(name, generated), advance: engine })), isOrdered(generated));

  it(
    'have the same entries and the same end on a real server and in simulated time',
    async () => {
      const waiting = generate({ seed, count: runbookCount, prefix: 'generated', firstNumber: 0 }).values();
      const different: string[] = [];
      const kinds = new Map<string, number>();
      const serve = async (): Promise<void> => {
        for (const [name, generated] of waiting) {
          const one = await execute(name, generated);
          executed.push(one);
          for (const kind of generated.kinds) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          try {
            expect(one.real).toEqual(pure(name, generated));
          } catch (error) {
            const text = error instanceof Error ? error.message : String(error);
            different.push(`${name}: ${text}\n${JSON.stringify(generated.spec)}`);
          }
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, serve));
      const entryCount = executed.reduce((sum, one) => sum + one.entryCount, 0);
      process.stdout.write(
        `equivalence.test.ts: ${executed.length} runbooks, ${entryCount} entries: ${JSON.stringify(Object.fromEntries(kinds))}\n`,
      );
      if (different.length > 0) {
        const shown = different.slice(0, 3).join('\n\n');
        throw new Error(`${different.length} of ${executed.length} are not the same (FETTLE_SEED=${seed}):\n${shown}`);
      }
      expect(executed).toHaveLength(runbookCount);
    },
    runbookCount * 20_000 + 60_000,
  );

  /** The first runbook of a fixed sequence on which the broken engine goes another way than the true one. */
  function tellingRunbook(engine: typeof advance, sequence = telling): readonly [string, GeneratedRunbook] {
    for (const [name, generated] of generate(sequence)) {
      if (!isDeepStrictEqual(asJson(pure(name, generated)), asJson(pure(name, generated, engine)))) {
        return [name, generated];
      }
    }
    throw new Error(`none of ${sequence.count} generated runbooks (seed ${sequence.seed}) shows the difference`);
  }

  it.each(Object.entries(brokenEngines))('are told apart from a host that %s', async (_what, engine) => {
    const [name, generated] = tellingRunbook(engine);
    const executedBefore = executed.find((one) => one.name === name);
    const one = executedBefore ?? (await execute(name, generated));
    if (executedBefore === undefined) executed.push(one);
    expect(asJson(one.real)).toEqual(asJson(pure(name, generated)));
    expect(asJson(one.real)).not.toEqual(asJson(pure(name, generated, engine)));
  });

  it.each(adapters)(
    'are told apart from a real worker that %s',
    async (adapter) => {
      const index = adapters.indexOf(adapter);
      const sequence = { ...telling, prefix: `broken-${index}`, firstNumber: 200_000 + index * telling.count };
      const [name, generated] = tellingRunbook(brokenEngines[adapter], sequence);
      await worker.stop();
      worker = await startBrokenWorker(stack.environment, adapter);
      try {
        const { real } = await execute(name, generated);
        expect(asJson(real)).not.toEqual(asJson(pure(name, generated)));
        // Broken in the same place, both hosts go the same way.
        expect(asJson(real)).toEqual(asJson(pure(name, generated, brokenEngines[adapter])));
      } finally {
        await worker.stop();
        worker = await stack.startWorker();
      }
    },
    240_000,
  );
});
