import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ENGINE_VERSION, OLDEST_ENGINE_VERSION } from '@fettle/runbook';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  quietReplays,
  replayHistories,
  workflowBundle,
  type RecordedHistory,
} from '../../apps/worker/dist/replay-histories.js';
import { historiesFolder, readManifest, readRecorded } from './recordings.js';
import { workflowCode, workflowNames, type WorkflowCode } from './workflow-digest.js';

quietReplays();

function* recordedHistories(): Iterable<RecordedHistory> {
  for (const workflow of workflowNames) {
    for (const recording of readManifest(workflow).recordings) {
      for (const file of Object.keys(recording.histories)) {
        const history: unknown = JSON.parse(readRecorded(workflow, recording, file));
        yield { name: `${workflow}/${recording.folder}/${file}`, history };
      }
    }
  }
}

/** Modules and packages that are not as they were. */
function changes(now: WorkflowCode, then: WorkflowCode): string[] {
  return (['modules', 'packages'] as const).flatMap((kind) =>
    [...new Set([...Object.keys(now[kind]), ...Object.keys(then[kind])])].filter(
      (name) => now[kind][name] !== then[kind][name],
    ),
  );
}

it('are all the workflows that workers execute', async () => {
  const index = await readFile(new URL('../../workflows/dist/index.js', import.meta.url), 'utf8');
  const exported = [...index.matchAll(/^export \{ (\w+) \} from/gm)].map(([, name]) => name!);
  expect([...workflowNames].sort()).toEqual(exported.sort());
});

describe.each(workflowNames)('the workflow %s', (workflow) => {
  const { recordings } = readManifest(workflow);

  it('has a recording of its present code', () => {
    const newest = recordings.at(-1);
    const now = workflowCode(workflow);
    const changed = newest === undefined ? ['all of it'] : changes(now, newest.code);
    if (newest?.code.digest !== now.digest) {
      throw new Error(
        `${workflow} has changed since its histories were recorded: ${changed.join(', ')}.\n` +
          'Record it: npm run record-histories (see CONTRIBUTING.md, "Change a workflow").',
      );
    }
    expect(newest.engineVersion).toBe(ENGINE_VERSION);
  });

  it('has recordings of the engine versions that may have open runs, and files for all of them', async () => {
    const versions = new Set(recordings.map((one) => one.engineVersion));
    for (let version = OLDEST_ENGINE_VERSION; version <= ENGINE_VERSION; version += 1)
      expect(versions).toContain(version);
    expect([...versions].filter((version) => version < OLDEST_ENGINE_VERSION)).toEqual([]);
    const folders = (await readdir(join(historiesFolder, workflow))).filter((name) => name !== 'manifest.json');
    expect(folders.sort()).toEqual(recordings.map(({ folder }) => folder).sort());
    for (const { folder, histories } of recordings) {
      expect((await readdir(join(historiesFolder, workflow, folder))).sort()).toEqual(Object.keys(histories).sort());
    }
  });
});

describe('recorded histories', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-replay-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('are what the present workflows would do', async () => {
    const replayed = await replayHistories(recordedHistories());
    expect(replayed.filter(({ fault }) => fault !== null)).toEqual([]);
    expect(replayed.length).toBe([...recordedHistories()].length);
    expect(replayed.length).toBeGreaterThan(20);
  });

  /** The bundle with a line of it changed, as a change of a workflow without thought for open runs would. */
  async function mutant(name: string, from: RegExp, to: string): Promise<string> {
    const bundle = await readFile(workflowBundle, 'utf8');
    expect(bundle.match(from)).not.toBeNull();
    const path = join(folder, `${name}.cjs`);
    await writeFile(path, bundle.replace(from, to));
    return path;
  }

  it.each([
    // The first line of what a run does: a timer more.
    [
      'waits',
      /const begun = input\.resume === /,
      'await (0,_temporalio_workflow__WEBPACK_IMPORTED_MODULE_1__.sleep)(1000);\nconst begun = input.resume === ',
    ],
    // Another activity than the one that stands in the history.
    ['ends by another activity', /\.endRun\(\{ runId: input\.runId/, '.readCounts({ runId: input.runId'],
  ])('tell a workflow that %s', async (name, from, to) => {
    const replayed = await replayHistories(recordedHistories(), await mutant(name.replaceAll(' ', '-'), from, to));
    const runs = replayed.filter((one) => one.name.startsWith('runRunbook/'));
    expect(runs.filter(({ fault }) => fault !== null).length).toBeGreaterThan(runs.length / 2);
    for (const { fault } of runs) if (fault !== null) expect(fault).toMatch(/nondetermin/i);
    // The others are as they were.
    expect(replayed.filter((one) => !one.name.startsWith('runRunbook/') && one.fault !== null)).toEqual([]);
  });
});
