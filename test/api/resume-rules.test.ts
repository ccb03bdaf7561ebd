import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Problem, RunSummary } from '@fettle/contracts';
import { createDataSource, lockCallingRun } from '@fettle/database';
import { startSubRun } from '@fettle/operations';
import { startApi, type TestApi } from './api-server.js';

const NIL = '00000000-0000-0000-0000-000000000000';
let api: TestApi;
let dataSource: Awaited<ReturnType<typeof createDataSource>>;

const asset = (number: number): string => `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`;
const runbook = (name: string, spec: string): string =>
  `apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: ${name}}\nspec:\n${spec}`;
const request = (id: string): string =>
  `{id: ${id}, uses: http.request, with: {method: POST, url: "http://127.0.0.1:9/"}}`;
const touch = '{id: touch, uses: ssh.run, with: {argv: [touch, /tmp/x]}}';

beforeAll(async () => {
  api = await startApi();
  dataSource = await createDataSource({ url: api.databaseUrl, poolSize: 2, applicationName: 'fettle-test' });
  for (const [number, name, site] of [
    [1, 'web-1', 'web'],
    [2, 'db-1', 'db'],
  ] as const) {
    await api.sql(`INSERT INTO asset (id, space, name, kind, site) VALUES ($1, 'default', $2, 'server', $3)`, [
      asset(number),
      name,
      site,
    ]);
  }
  const first = '{id: first, uses: http.request, onError: continue, with: {method: POST, url: "http://127.0.0.1:9/"}}';
  for (const source of [
    runbook('make', `  targets: asset.kind == "server"\n  steps: [${touch}]\n`),
    runbook('passes', `  targets: asset.kind == "server"\n  steps:\n    - ${first}\n    - ${touch}\n`),
    runbook(
      'guarded',
      `  targets: asset.kind == "server"
  rollout: {maxFailures: 1}
  steps:
    - id: guarded
      try: [${request('silence')}, ${touch}]
      finally: [${request('unsilence')}]
    - ${request('tell')}
    - {id: later, uses: ssh.run, with: {argv: [touch, /tmp/y]}}
`,
    ),
    runbook('leaf', `  targets: asset.site == "db"\n  steps: [${touch}]\n`),
    runbook(
      'outer',
      `  targets: asset.site == "web"\n  steps:\n    - ${touch}\n    - {id: sub, call: {runbook: leaf}}\n`,
    ),
  ]) {
    const applied = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
    expect([applied.status, applied.text]).toEqual([200, expect.any(String)]);
  }
}, 180_000);
afterAll(async () => {
  await dataSource?.destroy();
  await api?.close();
});

/** A run that was cancelled before anybody took it up. */
async function cancelled(name: string): Promise<string> {
  const started = await api.call<RunSummary>('POST', '/api/v1/runs', { body: { runbook: name } });
  expect(started.status).toBe(202);
  await api.call('POST', `/api/v1/runs/${started.body.id}/cancel`, { body: {} });
  return started.body.id;
}

const post = (id: string, verb: string, body: object = {}, token?: string) =>
  api.call<RunSummary & Problem>('POST', `/api/v1/runs/${id}/${verb}`, {
    body,
    ...(token === undefined ? {} : { token }),
  });
const target = (runId: string, number: number, state: string): Promise<unknown> =>
  api.sql(
    `UPDATE run_target SET state = $3, started_at = now(), ended_at = now() WHERE run_id = $1 AND asset_id = $2`,
    [runId, asset(number), state],
  );
const journal = (
  runId: string,
  assetId: string,
  step: string,
  state: string,
  { phase = 'do', error = null as object | null } = {},
): Promise<unknown> =>
  api.sql(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, error, started_at, ended_at)
     VALUES ($1, $2, $3, $4, 1, 1, $3 || $4, 'mutating', $5, $6, now(), now())`,
    [runId, assetId, step, phase, state, error === null ? null : JSON.stringify(error)],
  );
const stepsOf = (runId: string): Promise<object[]> =>
  api.sql(`SELECT asset_id AS "assetId", step, state, error FROM run_step WHERE run_id = $1 ORDER BY asset_id, step`, [
    runId,
  ]);
const statesOf = async (runId: string): Promise<object> => {
  const rows = await api.sql<{ name: string; state: string }>(
    `SELECT asset_name AS name, state FROM run_target WHERE run_id = $1`,
    [runId],
  );
  return Object.fromEntries(rows.map(({ name, state }) => [name, state]));
};

describe('a run is taken up', () => {
  it('only once every run below it has ended', async () => {
    const [id, child] = [await cancelled('make'), await cancelled('make')];
    await api.sql(
      `UPDATE run SET parent_run_id = $2, parent_path = 'sub', ended_at = NULL, state = 'running' WHERE id = $1`,
      [child, id],
    );
    for (const verb of ['resume', 'retry']) {
      expect((await post(id, verb)).body).toMatchObject({ status: 409, code: 'run-open', context: { runId: child } });
    }
    await api.sql(`UPDATE run SET ended_at = now(), state = 'cancelled' WHERE id = $1`, [child]);
    expect((await post(id, 'resume')).status).toBe(202);
  });

  it('with what had come through and was undone done again', async () => {
    const id = await cancelled('make');
    await target(id, 1, 'succeeded');
    await target(id, 2, 'succeeded');
    for (const number of [1, 2]) await journal(id, asset(number), 'touch', 'succeeded');
    await journal(id, asset(1), 'touch', 'succeeded', { phase: 'undo' });
    const next = await post(id, 'resume');
    expect(next.status).toBe(202);
    expect(await statesOf(next.body.id)).toEqual({ 'web-1': 'pending', 'db-1': 'succeeded' });
    expect(await stepsOf(next.body.id)).toMatchObject([{ assetId: asset(2), step: 'touch', state: 'succeeded' }]);
  });

  it('after a person has settled an undo that is unknown, whatever its target came to', async () => {
    const id = await cancelled('make');
    await target(id, 1, 'succeeded');
    await journal(id, asset(1), 'touch', 'succeeded');
    await journal(id, asset(1), 'touch', 'unknown', { phase: 'undo' });
    expect((await post(id, 'resume')).body).toMatchObject({ status: 409, code: 'unsettled-steps' });
    const forced = await post(id, 'resume', { rerunUnknown: true, reason: 'try it' });
    expect(forced.body).toMatchObject({ status: 409, code: 'unsettled-steps' });
    expect(forced.text).toContain('--rerun-unknown is of no use');
    await post(id, 'resolve', { target: 'web-1', step: 'touch#undo', as: 'done', reason: 'I looked' });
    const next = await post(id, 'resume');
    expect(next.status).toBe(202);
    expect([await statesOf(next.body.id), await stepsOf(next.body.id)]).toEqual([
      { 'web-1': 'pending', 'db-1': 'pending' },
      [],
    ]);
  });

  it('with a step of its own that is unknown, and was passed, as one that failed', async () => {
    const id = await cancelled('passes');
    const error = { code: 'connection-lost', message: 'gone' };
    await journal(id, NIL, 'first', 'unknown', { error });
    await journal(id, asset(1), 'touch', 'succeeded');
    const next = await post(id, 'resume');
    expect(next.status).toBe(202);
    expect((await stepsOf(next.body.id))[0]).toEqual({ assetId: NIL, step: 'first', state: 'failed', error });
  });

  it('after a person has said what becomes of an effect whose output could not be kept', async () => {
    const error = { code: 'output-too-large', message: 'too large', effectDone: true };
    const failed = async (): Promise<string> => {
      const id = await cancelled('make');
      await target(id, 1, 'failed');
      await journal(id, asset(1), 'touch', 'failed', { error });
      expect((await post(id, 'resume')).body).toMatchObject({ status: 409, code: 'unsettled-steps' });
      return id;
    };
    const settled = await failed();
    expect((await post(settled, 'resolve', { target: 'web-1', as: 'done', reason: 'it is there' })).status).toBe(200);
    const next = await post(settled, 'resume');
    expect(await stepsOf(next.body.id)).toMatchObject([{ step: 'touch', state: 'succeeded', error: null }]);
    const again = await post(await failed(), 'resume', { rerunUnknown: true, reason: 'twice is fine' });
    expect([again.status, await stepsOf(again.body.id)]).toEqual([202, []]);
  });
});

describe('a run whose way was gone to its end although targets failed', () => {
  /** Ended with one target that failed at the step, and one that came through; what the run itself did is known. */
  async function endedWith(step: 'touch' | 'later'): Promise<string> {
    const id = await cancelled('guarded');
    for (const own of ['silence', 'unsilence', 'tell']) await journal(id, NIL, own, 'succeeded');
    await target(id, 1, 'failed');
    await target(id, 2, 'succeeded');
    for (const done of ['touch', 'later']) await journal(id, asset(2), done, 'succeeded');
    if (step === 'later') await journal(id, asset(1), 'touch', 'succeeded');
    await journal(id, asset(1), step, 'failed', { error: { code: 'command-failed', message: 'exit 1' } });
    await api.sql(
      `UPDATE run SET state = 'failed', error = '{"code": "targets-failed", "message": "1 failed"}' WHERE id = $1`,
      [id],
    );
    return id;
  }
  const knownIn = async (id: string, body: object = {}): Promise<unknown> => {
    const next = await post(id, 'resume', body);
    expect(next.status).toBe(202);
    const [row] = await api.sql<{ memo: { ends: object } }>(`SELECT memo FROM run WHERE id = $1`, [next.body.id]);
    return Object.keys(row!.memo.ends).sort();
  };

  it('sets up again what a `try` had cleared away that they failed in, and does not tell of it twice', async () => {
    expect(await knownIn(await endedWith('touch'))).toEqual(['tell']);
  });

  it('does none of it again where they failed behind it', async () => {
    expect(await knownIn(await endedWith('later'))).toEqual(['silence', 'tell', 'unsilence']);
  });

  it('does all of it again where what they did was undone', async () => {
    const id = await endedWith('later');
    await journal(id, asset(1), 'touch', 'succeeded', { phase: 'undo' });
    expect(await knownIn(id)).toEqual(['tell']);
  });

  it('does none of it again for targets that nobody means', async () => {
    expect(await knownIn(await endedWith('touch'), { targets: 'unknown' })).toEqual(['silence', 'tell', 'unsilence']);
  });
});

describe('a called run is taken up', () => {
  /** A cancelled run of `outer` by the admin, and the run that its step called, ended as it is said. */
  async function called(state: 'cancelled' | 'succeeded'): Promise<{ outer: string; child: string }> {
    const [outer, child] = [await cancelled('outer'), await cancelled('leaf')];
    await api.sql(`UPDATE run SET parent_run_id = $2, parent_path = 'sub', depth = 1, state = $3 WHERE id = $1`, [
      child,
      outer,
      state,
    ]);
    await api.sql(
      `INSERT INTO run_wait (run_id, path, kind, name, child_run_id) VALUES ($1, 'sub', 'call', 'leaf', $2)`,
      [outer, child],
    );
    return { outer, child };
  }
  const callAgain = (runId: string, targets: 'own' | 'inherit' = 'own'): Promise<RunSummary> =>
    dataSource.transaction(async (transaction) => {
      const parent = (await lockCallingRun(transaction, runId))!;
      const request = { path: 'sub', runbook: 'leaf', version: null, inputs: {}, targets, on: null };
      return startSubRun(transaction, parent, request);
    });

  it('only by whoever may start runs on its targets', async () => {
    const narrow = await api.tokenOf('only-web', 'operator', 'asset.site == "web"');
    const { outer } = await called('cancelled');
    const next = await post(outer, 'resume', {}, narrow);
    expect(next.status).toBe(202);
    await expect(callAgain(next.body.id)).rejects.toMatchObject({ code: 'denied' });
    const other = await called('cancelled');
    const byAdmin = await post(other.outer, 'resume');
    expect((await callAgain(byAdmin.body.id)).targetCount).toBe(1);
  });

  it('on targets that the run around it has, where it inherits them', async () => {
    const { outer } = await called('cancelled');
    const next = await post(outer, 'resume');
    expect((await callAgain(next.body.id, 'inherit')).targetCount).toBe(0);
  });

  it('is made again with the run around it, so that what is unknown in it is asked about although it succeeded', async () => {
    const { outer, child } = await called('succeeded');
    await target(child, 2, 'succeeded');
    await journal(child, asset(2), 'touch', 'unknown');
    const refused = await post(outer, 'retry');
    expect(refused.body).toMatchObject({
      code: 'unsettled-steps',
      context: { count: 1, unsettled: [{ runId: child, asset: 'db-1', step: 'touch' }] },
    });
    // To take it up makes nothing of it again.
    expect((await post((await calledWithUnknown()).outer, 'resume')).status).toBe(202);
    const settled = await post(child, 'resolve', { target: 'db-1', as: 'done', reason: 'I looked' });
    expect(settled.status).toBe(200);
    expect((await post(outer, 'retry')).status).toBe(202);

    async function calledWithUnknown(): Promise<{ outer: string }> {
      const other = await called('succeeded');
      await target(other.child, 2, 'succeeded');
      await journal(other.child, asset(2), 'touch', 'unknown');
      return other;
    }
  });

  it('not at all where it succeeded, unless its step had ended well and comes again', async () => {
    const { outer, child } = await called('succeeded');
    const next = await post(outer, 'resume');
    expect((await callAgain(next.body.id)).id).toBe(child);
    const undone = await called('succeeded');
    await journal(undone.outer, NIL, 'sub', 'succeeded');
    await journal(undone.outer, NIL, 'sub', 'succeeded', { phase: 'undo' });
    // What is unknown in it would happen again with it.
    await target(undone.child, 2, 'succeeded');
    await journal(undone.child, asset(2), 'touch', 'unknown');
    const refused = await post(undone.outer, 'resume');
    expect(refused.body).toMatchObject({ code: 'unsettled-steps', context: { unsettled: [{ runId: undone.child }] } });
    await post(undone.child, 'resolve', { target: 'db-1', as: 'done', reason: 'I looked' });
    const later = await post(undone.outer, 'resume');
    const anew = await callAgain(later.body.id);
    expect([anew.id === undone.child, anew.continues ?? null]).toEqual([false, null]);
  });

  it('in the version that an edited step pins, once what is different in it was acknowledged', async () => {
    const apply = async (source: string): Promise<string> => {
      const applied = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
      expect(applied.status).toBe(200);
      const [row] = await api.sql<{ digest: string }>(`SELECT digest FROM document_version ORDER BY id DESC LIMIT 1`);
      return row!.digest;
    };
    const { outer, child } = await called('cancelled');
    await journal(child, asset(2), 'touch', 'succeeded');
    const [before] = await api.sql<{ version: string }>(`SELECT version FROM run WHERE id = $1`, [child]);
    const other = '{id: other, uses: ssh.run, with: {argv: [touch, /tmp/z]}}';
    const pinned = await apply(runbook('leaf', `  targets: asset.site == "db"\n  steps: [${other}]\n`));
    await apply(runbook('leaf', `  targets: asset.site == "db"\n  steps: [${touch}, ${other}]\n`));
    const call = `{id: sub, call: {runbook: leaf, version: "${pinned}"}}`;
    const edited = await apply(
      runbook('outer', `  targets: asset.site == "web"\n  steps:\n    - ${touch}\n    - ${call}\n`),
    );
    const refused = await post(outer, 'resume', { version: 'latest' });
    expect(refused.body).toMatchObject({
      code: 'version-changed',
      context: {
        to: edited,
        called: [{ runbook: 'leaf', from: before!.version, to: pinned, gone: ['sub > touch'], changedDone: [] }],
      },
    });
    const { acknowledge } = refused.body.context as { acknowledge: string };
    expect(acknowledge).not.toBe(edited);
    expect((await post(outer, 'resume', { version: 'latest', acknowledge: edited })).status).toBe(409);
    const next = await post(outer, 'resume', { version: 'latest', acknowledge });
    expect([next.status, next.body.version]).toEqual([202, edited]);
  });
});
