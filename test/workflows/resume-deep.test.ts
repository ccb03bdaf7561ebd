import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runbookDocumentSchema, type ResumeRunRequest, type RunDetail } from '@fettle/contracts';
import { applyDocuments, cancelRun, endLostRun, resumeRun } from '@fettle/operations';
import { digestOf } from '@fettle/runbook';
import { connectTemporal, terminateWorkflow } from '@fettle/temporal';
import { uuidv7 } from 'uuidv7';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let sshd: Sshd;
let service: ScriptedService;
let worker: WorkerProcess;

beforeAll(async () => {
  [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
  await stack.addHosts(sshd, 2);
  worker = await stack.startWorker();
}, 120_000);
afterAll(async () => {
  await worker?.stop();
  await sshd?.stop();
  await service?.close();
  await stack?.close();
});

const hosts = 'asset.kind == "server"';
const home = (name: string): string => join(sshd.account.home, name);
const linesOf = async (name: string): Promise<string[]> =>
  (await readFile(home(name), 'utf8').catch(() => '')).split('\n').filter(Boolean).sort();
const callsOf = (path: string): number => service.calls.filter((one) => one === `/${path}`).length;
/** Writes a line; fails as long as there is a file `break-LOG-ID`, waits as long as there is one `hold-LOG-ID`. */
const mark = (log: string, id: string, extra: object = {}): Record<string, unknown> => ({
  id,
  uses: 'ssh.script',
  with: {
    script:
      'echo "$1 $2" >> "$HOME/$3"; while [ -e "$HOME/hold-$3-$1" ]; do sleep 0.1; done; [ ! -e "$HOME/break-$3-$1" ]',
    arguments: [id, '${{ asset.name }}', log],
  },
  timeout: '20s',
  ...extra,
});
const http = (id: string, extra: object = {}): Record<string, unknown> => ({
  id,
  uses: 'http.request',
  with: { method: 'POST', url: service.url(`/${id}`) },
  ...extra,
});

function resume(id: string, request: Partial<ResumeRunRequest> = {}): Promise<{ id: string }> {
  return stack.inTransaction((context) =>
    resumeRun(context, id, { targets: 'unfinished', rerunUnknown: false, ...request }),
  );
}

async function resumed(id: string, request: Partial<ResumeRunRequest> = {}): Promise<RunDetail> {
  return stack.ended((await resume(id, request)).id);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error(`it never came to be: ${what}`);
}

/** As it is with a run whose workflow is gone, and that the sweeper has ended. */
async function lose(id: string): Promise<void> {
  const { TEMPORAL_ADDRESS, FETTLE_TASK_QUEUE } = stack.environment;
  const temporal = connectTemporal({ address: TEMPORAL_ADDRESS!, namespace: 'default', taskQueue: FETTLE_TASK_QUEUE! });
  try {
    await terminateWorkflow(temporal, `run-${id}`, 'the test takes it away');
  } finally {
    await temporal.close();
  }
  const fault = { state: 'failed', code: 'workflow-lost', message: 'Its workflow is gone.' } as const;
  await stack.dataSource.transaction((transaction) =>
    endLostRun(transaction, { runId: id, space: 'default', cancelRequested: false }, fault),
  );
}

async function newVersion(name: string, spec: Record<string, unknown>): Promise<string> {
  const source = { apiVersion: 'fettle/v1', kind: 'Runbook', metadata: { name }, spec };
  const digest = digestOf(source);
  const versionId = uuidv7();
  await stack.dataSource.query(
    `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
     SELECT $1, 'default', id, 2, $2, 'Runbook', $3, $4, $5, 'tester' FROM document WHERE name = $3`,
    [versionId, digest, name, JSON.stringify(source), JSON.stringify(runbookDocumentSchema.parse(source))],
  );
  await stack.dataSource.query(`UPDATE document SET current_version_id = $2 WHERE name = $1`, [name, versionId]);
  return digest;
}

describe('what a run is taken up from', () => {
  it('a workflow that was lost in the middle of loops and branches', async () => {
    const loop = {
      id: 'each',
      forEach: { items: ['x', 'y', 'z'], as: 'site', steps: [http('loop_call'), mark('lost', 'on_host')] },
    };
    const branch = {
      id: 'way',
      choose: [{ when: 'steps.first.status == 200', steps: [http('left')] }, { steps: [http('right')] }],
    };
    await stack.addRunbook('lost', { targets: hosts, steps: [http('first'), branch, loop, http('last')] });
    await writeFile(home('hold-lost-on_host'), '');
    const { id } = await stack.start('lost');
    await until('both hosts are at it', async () => (await linesOf('lost')).length === 2);
    await lose(id);
    await rm(home('hold-lost-on_host'));
    const ended = await stack.run(id);
    expect([ended.state, ended.counts.unknown]).toEqual(['failed', 2]);
    // Its lanes go on for a moment, and end what nobody asks for any more.
    await expect(resume(id)).rejects.toMatchObject({ code: 'unsettled-steps' });
    const run = await resumed(id, { rerunUnknown: true, reason: 'it only writes a line' });
    expect({ state: run.state, error: run.error, counts: run.counts }).toMatchObject({
      state: 'succeeded',
      error: null,
      counts: { succeeded: 2 },
    });
    expect(['first', 'left', 'right', 'loop_call', 'last'].map(callsOf)).toEqual([1, 1, 0, 3, 1]);
    const tokens: { token: string }[] = await stack.dataSource.query(
      `SELECT DISTINCT token FROM run_step WHERE step = 'each[x]/on_host' AND run_id = ANY ($1)`,
      [[id, run.id]],
    );
    // Made again under the token that each target had.
    expect(tokens).toHaveLength(2);
  }, 120_000);

  it('a cancel, with the finally that it went through', async () => {
    const guarded = {
      id: 'guarded',
      try: [http('drain'), mark('cancel', 'work')],
      finally: [http('undrain')],
    };
    await stack.addRunbook('cancelled', { targets: hosts, steps: [http('before_it'), guarded, http('behind_it')] });
    await writeFile(home('hold-cancel-work'), '');
    const { id } = await stack.start('cancelled');
    await until('both hosts are at it', async () => (await linesOf('cancel')).length === 2);
    await stack.inTransaction((context) => cancelRun(context, id, {}));
    const first = await stack.ended(id);
    expect([first.state, callsOf('undrain')]).toEqual(['cancelled', 1]);
    await rm(home('hold-cancel-work'));
    const unknown = first.counts.unknown > 0 ? { rerunUnknown: true, reason: 'it only writes a line' } : {};
    const run = await resumed(id, unknown);
    expect([run.state, run.error]).toEqual(['succeeded', null]);
    // What the `finally` had cleared away is done again, and nothing besides.
    expect(['before_it', 'drain', 'undrain', 'behind_it'].map(callsOf)).toEqual([1, 2, 2, 1]);
  }, 120_000);

  it('a rollback: what was undone is done again, what was not stays done', async () => {
    const undone = (id: string): object => ({
      rollback: { uses: 'ssh.script', with: { script: `echo "undo-${id}" >> "$HOME/back"` } },
    });
    await stack.addRunbook('back', {
      targets: 'asset.name == "host-000"',
      steps: [mark('back', 'a', undone('a')), mark('back', 'b'), mark('back', 'c', undone('c'))],
    });
    await writeFile(home('break-back-c'), '');
    const first = await stack.ended((await stack.start('back')).id);
    expect([first.state, first.targets[0]?.rollback]).toEqual(['failed', 'undone']);
    await rm(home('break-back-c'));
    const run = await resumed(first.id);
    expect([run.state, run.error]).toEqual(['succeeded', null]);
    expect((await linesOf('back')).filter((line) => !line.startsWith('undo'))).toEqual([
      'a host-000',
      'a host-000',
      'b host-000',
      'c host-000',
      'c host-000',
    ]);
  }, 90_000);

  it('files that it put: a later rollback brings back what was there before the first of them', async () => {
    const content = (name: string): Promise<string> => readFile(home(name), 'utf8');
    const put = (name: string) => ({ id: 'put', uses: 'file.put', with: { path: home(name), content: 'new\n' } });
    for (const name of ['kept', 'again']) {
      await writeFile(home(name), 'former\n', { mode: 0o666 });
      await stack.addRunbook(name, {
        targets: 'asset.name == "host-000"',
        steps: [put(name), mark(`${name}-log`, 'work')],
      });
      await writeFile(home(`break-${name}-log-work`), '');
    }
    // The run was lost: nothing was undone, and what was put stands.
    await writeFile(home('hold-kept-log-work'), '');
    const { id } = await stack.start('kept');
    await until('the host is at it', async () => (await linesOf('kept-log')).length === 1);
    await lose(id);
    await rm(home('hold-kept-log-work'));
    expect(await content('kept')).toBe('new\n');
    const next = await resumed(id, { rerunUnknown: true, reason: 'it only writes a line' });
    expect([next.state, next.targets[0]?.rollback]).toEqual(['failed', 'undone']);
    expect(await content('kept')).toBe('former\n');
    // It was undone, and somebody changed the file since: what is put then is another one.
    const first = await stack.ended((await stack.start('again')).id);
    expect([first.state, await content('again')]).toEqual(['failed', 'former\n']);
    for (const text of ['second\n', 'third\n']) {
      await rm(home('again'));
      await writeFile(home('again'), text);
      const before: { id: string }[] = await stack.dataSource.query(
        `SELECT id FROM run WHERE runbook = 'again' ORDER BY created_at DESC LIMIT 1`,
      );
      const run = await resumed(before[0]!.id);
      expect([run.state, run.targets[0]?.rollback]).toEqual(['failed', 'undone']);
      expect(await content('again')).toBe(text);
    }
  }, 120_000);

  it('a called run, which is taken up in its turn', async () => {
    await stack.addRunbook('leaf', { targets: hosts, steps: [mark('leaf', 'begin'), mark('leaf', 'end')] });
    await stack.addRunbook('outer', {
      steps: [http('outer_first'), { id: 'sub', call: { runbook: 'leaf' } }, http('outer_last')],
    });
    await writeFile(home('break-leaf-end'), '');
    const first = await stack.ended((await stack.start('outer')).id);
    expect([first.state, first.error?.code]).toEqual(['failed', 'sub-run-failed']);
    await rm(home('break-leaf-end'));
    const child = first.subRuns![0]!.id;
    await expect(resume(child)).rejects.toMatchObject({ code: 'called-run', detail: { runId: first.id } });
    const run = await resumed(first.id);
    expect([run.state, run.error]).toEqual(['succeeded', null]);
    expect(['outer_first', 'outer_last'].map(callsOf)).toEqual([1, 1]);
    const second = await stack.run(run.subRuns![0]!.id);
    expect(second.continues).toEqual({ runId: child, how: 'resume' });
    expect((await linesOf('leaf')).filter((line) => line.startsWith('begin'))).toHaveLength(2);
    expect((await linesOf('leaf')).filter((line) => line.startsWith('end'))).toHaveLength(4);
  }, 90_000);

  it('another version, once its difference was acknowledged', async () => {
    const wrong = { argv: ['false'] };
    const steps = [mark('edited', 'done'), { id: 'wrong', uses: 'ssh.run', with: wrong }];
    await stack.addRunbook('edited', { targets: hosts, steps: [http('edited_call'), ...steps] });
    const first = await stack.ended((await stack.start('edited')).id);
    expect(first.counts.failed).toBe(2);
    const mended = { id: 'wrong', uses: 'ssh.run', with: { argv: ['true'] } };
    const digest = await newVersion('edited', {
      targets: hosts,
      steps: [
        http('edited_call', { if: 'true' }),
        { ...mark('edited', 'done'), timeout: '10s' },
        mended,
        mark('edited', 'more'),
      ],
    });
    const problem: unknown = await resume(first.id, { version: 'latest' }).catch((error: unknown) => error);
    expect(problem).toMatchObject({
      code: 'version-changed',
      detail: { to: digest, changedDone: ['edited_call', 'done'], gone: [] },
    });
    expect((problem as { detail: { diff: string[] } }).detail.diff.join('\n')).toContain('spec.steps[wrong].with.argv');
    const run = await resumed(first.id, { version: 'latest', acknowledge: digest });
    expect([run.state, run.version, run.counts.succeeded]).toEqual(['succeeded', digest, 2]);
    expect(callsOf('edited_call')).toBe(1);
    const lines = await linesOf('edited');
    expect(lines).toEqual(['done host-000', 'done host-001', 'more host-000', 'more host-001']);
  }, 90_000);

  it('a command that runs detached on its host: it is found there, and not begun again', async () => {
    const script = 'echo begun >> "$HOME/detached"; while [ -e "$HOME/hold-detached" ]; do sleep 0.1; done; echo done';
    await stack.addRunbook('apart', {
      targets: 'asset.name == "host-000"',
      steps: [{ id: 'long', uses: 'ssh.script', timeout: '5m', with: { script }, outputs: { text: 'result.stdout' } }],
    });
    await writeFile(home('hold-detached'), '');
    const { id } = await stack.start('apart');
    await until('it has begun', async () => (await linesOf('detached')).length === 1);
    await worker.stop('SIGKILL');
    await lose(id);
    expect((await stack.run(id)).counts.unknown).toBe(1);
    worker = await stack.startWorker();
    const next = await resume(id);
    await rm(home('hold-detached'));
    const run = await stack.ended(next.id);
    expect([run.state, run.error, run.targets[0]?.error]).toEqual(['succeeded', null, null]);
    expect(await linesOf('detached')).toEqual(['begun']);
    const logs: { body: string }[] = await stack.dataSource.query(`SELECT body FROM run_log WHERE run_id = $1`, [
      run.id,
    ]);
    expect(logs.map(({ body }) => body).join('')).toBe('done\n');
  }, 120_000);

  it('the same while its calendar is closed, which holds what has not begun', async () => {
    const script = 'echo "begun $1" >> "$HOME/$2"; while [ -e "$HOME/hold-closed" ]; do sleep 0.1; done';
    const given = { script, arguments: ['${{ asset.name }}', 'closed'], effect: 'mutating' };
    await stack.addRunbook('apart-closed', {
      targets: hosts,
      steps: [
        { id: 'long', uses: 'ssh.script', timeout: '5m', with: given },
        { id: 'more', uses: 'ssh.script', with: { script: 'true', effect: 'mutating' } },
      ],
    });
    await writeFile(home('hold-closed'), '');
    const { id } = await stack.start('apart-closed');
    await until('both have begun', async () => (await linesOf('closed')).length === 2);
    await worker.stop('SIGKILL');
    await lose(id);
    worker = await stack.startWorker();
    const freeze = (assets: string, freezes: readonly object[]): Promise<unknown> => {
      const calendar = { kind: 'Calendar', metadata: { name: 'frozen' }, spec: { assets, freezes } };
      return stack.inTransaction((context) =>
        applyDocuments(context, { source: JSON.stringify({ apiVersion: 'fettle/v1', ...calendar }) }),
      );
    };
    await freeze('asset.name == "host-000"', [{ from: '2026-01-01', to: '2099-12-31' }]);
    const next = await resume(id);
    await rm(home('hold-closed'));
    const run = await stack.ended(next.id);
    await freeze('false', []);
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 2 } });
    expect(await linesOf('closed')).toEqual(['begun host-000', 'begun host-001']);
  }, 120_000);
});
