import type { RunDetail, RunSummary } from '@fettle/contracts';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ApiProcess } from '../support/api-process.js';
import { CliStack } from './cli-stack.js';

const runbooks = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: greet}
spec:
  inputs:
    type: object
    required: [word]
    properties: {word: {type: string}, times: {type: integer, default: 1}}
  targets: asset.kind == "server"
  steps:
    - id: say
      uses: ssh.run
      with: {argv: [printf, '%s %s\\n', '\${{ inputs.word }}', '\${{ asset.name }}']}
    - {id: check, uses: ssh.run, with: {argv: [test, '\${{ asset.name }}', '!=', 'host-001']}, if: 'inputs.times > 1'}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: slow}
spec:
  targets: asset.kind == "server"
  timeout: 5s
  steps: [{id: wait, uses: ssh.run, with: {argv: [sleep, '60']}}]
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: staged}
spec:
  targets: asset.kind == "server"
  rollout: {waves: [1, '50%', '100%'], maxFailures: 0, orderBy: asset.name != "host-002"}
  steps: [{id: check, uses: ssh.run, with: {argv: [test, '\${{ asset.name }}', '!=', 'host-000']}}]
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: full}
spec:
  targets: asset.name == "host-000" || asset.name == "host-001"
  steps:
    - id: attempt
      try:
        - id: copy
          uses: ssh.run
          with: {argv: [sh, -c, 'echo copying >&2; test "$0" = host-000 && exit; printf "no space\\033[31m left on device\\n\\n" >&2; exit 1', '\${{ asset.name }}']}
      finally:
        - {id: tidy, uses: ssh.run, with: {argv: [sh, -c, 'echo tidied >&2']}}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: nightly}
spec: {runbook: greet, cron: '30 2 * * *', timeZone: Europe/Berlin, inputs: {word: night}}
`;

describe('runs from the command line', () => {
  let cli: CliStack;

  beforeAll(async () => {
    cli = await CliStack.start(3);
    const file = await cli.write('runbooks.yaml', runbooks);
    const applied = await cli.fettle(['apply', '-f', file]);
    expect(applied).toMatchObject({ exitCode: 0 });
  }, 180_000);
  afterAll(() => cli?.stop(), 60_000);

  it('follows a run to its end: progress on stderr, the table on stdout', async () => {
    const result = await cli.fettle(['run', 'start', 'greet', '--input', 'word=3', '--follow']);
    expect(result.exitCode).toBe(0);
    expect(result.stdout).toMatch(/^TARGET +STATE +STEP/);
    expect(result.stdout.match(/^host-00\d +succeeded/gm)).toHaveLength(3);
    expect(result.stderr).toMatch(/Run \S+ of greet on 3 targets/);
    expect(result.stderr).toMatch(/succeeded in .*: 3 succeeded\n$/);
    expect(result.stdout + result.stderr).not.toContain('\u001b');
  }, 180_000);

  it('shows waves, and where a rollout stopped', async () => {
    const result = await cli.fettle(['run', 'start', 'staged', '--follow']);
    expect(result.exitCode).toBe(6);
    expect(result.stdout).toMatch(/^TARGET +WAVE +STATE/);
    expect(result.stdout).toMatch(
      /^host-000 +2 +failed .*\nhost-001 +3 +cancelled .*Not dispatched any more.*\nhost-002 +1 +succ/m,
    );
    expect(result.stderr).toMatch(/^Wave 1 of 3: 1 target\.$/m);
    expect(result.stderr).toMatch(/^Stopped: 1 target failed, more than the limit of 0; 1 target not dispatched\.$/m);
    expect(result.stderr).toMatch(/more than the limit of 0; 1 more went no further \(failure-limit\)\n$/);
    const id = /Run (\S+) of staged/.exec(result.stderr)![1]!;
    const shown = await cli.fettle(['run', 'show', id]);
    expect(shown.stdout).toMatch(/^wave 2 of 3 +1 failed$/m);
    expect(await cli.json<RunDetail>('run', 'show', id)).toMatchObject({
      waves: { current: 2, items: [{ number: 1 }, { number: 2 }, { number: 3, counts: { cancelled: 1 } }] },
    });
  }, 180_000);

  it('ends with 6 when a target failed, and shows which, where and why', async () => {
    const result = await cli.fettle([
      ...['run', 'start', 'greet', '--input', 'word=x', '--input', 'times=2', '--follow', '-o', 'json'],
    ]);
    expect(result.exitCode).toBe(6);
    const run = JSON.parse(result.stdout) as RunDetail;
    expect(run).toMatchObject({ runbook: 'greet', state: 'failed', inputs: { word: 'x', times: 2 } });
    expect(run.targets.map(({ asset, state }) => [asset, state])).toEqual([
      ['host-000', 'succeeded'],
      ['host-001', 'failed'],
      ['host-002', 'succeeded'],
    ]);
    expect(
      run.targets[1]?.steps.map(({ step, attempt, state, exitCode }) => ({ step, attempt, state, exitCode })),
    ).toEqual([
      { step: 'say', attempt: 1, state: 'succeeded', exitCode: 0 },
      { step: 'check', attempt: 1, state: 'failed', exitCode: 1 },
    ]);
    expect(result.stderr).toMatch(/^host-001 failed at check: /m);
    const shown = await cli.json<RunDetail>('run', 'show', run.id);
    expect(shown).toEqual(run);
    const table = await cli.fettle(['run', 'show', run.id]);
    expect(table.stdout).toMatch(/TARGET.*\nhost-001 +failed/);
    const listed = await cli.json<RunSummary[]>('run', 'list', '--runbook', 'greet', '--limit', '1');
    expect(listed.map(({ id }) => id)).toEqual([run.id]);
  }, 180_000);

  it('quotes beside the error what the host wrote last to stderr', async () => {
    const result = await cli.fettle(['run', 'start', 'full', '--follow']);
    expect(result.exitCode).toBe(6);
    const quoted = 'stderr: no space\\x1b[31m left on device';
    expect(result.stderr).toMatch(/^host-001 failed: .*exit code 1 on host-001\. {2}stderr: no space/m);
    expect(result.stderr).toContain(`  ${quoted}\n`);
    expect(result.stdout).toContain(`  ${quoted}`);
    const id = /Run (\S+) of full/.exec(result.stderr)![1]!;
    const shown = await cli.fettle(['run', 'show', id]);
    expect(shown.stdout.split('\n').filter((line) => line.includes('stderr'))).toEqual([
      expect.stringMatching(/^host-001 +failed .*exit code 1/),
    ]);
    expect(shown.stdout).toContain(quoted);
    // On a terminal, the cell goes on below instead of being cut.
    const terminal = await cli.fettle(['run', 'show', id], { terminal: true, env: { NO_COLOR: '1' } });
    expect(terminal.stdout.replace(/\n +/g, ' ')).toContain(quoted);
    const run = await cli.json<RunDetail>('run', 'show', id);
    expect(run.targets.map(({ steps }) => steps.map(({ step, lastStderr }) => [step, lastStderr]))).toEqual([
      [
        ['copy', undefined],
        ['tidy', undefined],
      ],
      [
        ['copy', 'no space\u001b[31m left on device'],
        ['tidy', undefined],
      ],
    ]);
    const log = await cli.fettle(['exec', '--on', 'asset.name == "host-001"', '--follow', '--', 'ls', '/nowhere']);
    expect([log.exitCode, log.stderr.includes('stderr:')]).toEqual([6, false]);
  }, 90_000);

  it('ends with 7 when the run timed out', async () => {
    const result = await cli.fettle(['run', 'start', 'slow', '--on', 'asset.labels.number == "0"', '--follow']);
    expect(result.exitCode).toBe(7);
    expect(result.stderr).toMatch(/timed-out/);
  }, 90_000);

  it('answers with 0 once accepted, the same run for the same key, and an error for another request', async () => {
    const args = ['run', 'start', 'greet', '--input', 'word=once', '--idempotency-key', 'key-1'];
    const [first, second] = [await cli.fettle(args), await cli.fettle(args)];
    expect(first.exitCode).toBe(0);
    expect(first.stdout).toMatch(/^[0-9a-f-]{36}\n$/);
    expect(second.stdout).toBe(first.stdout);
    const other = await cli.fettle(args.map((arg) => (arg === 'word=once' ? 'word=twice' : arg)));
    expect(other).toMatchObject({ exitCode: 1, stdout: '' });
    expect(other.stderr).toMatch(/idempotency key "key-1" was used for a different request/);
  }, 180_000);

  it.each([
    [['run', 'start', 'greet', '--input', 'word=x', '--on', 'asset.name == "none"'], 1, /--allow-empty/],
    [['run', 'start', 'greet', '--input', 'word=x', '--on', 'asset.nam == "x"'], 1, /unknown field "nam"/],
    [['run', 'start', 'greet'], 1, /"word" is missing/],
    [['run', 'start', 'nothing', '--input', 'a=1'], 3, /There is no/],
    [['run', 'show', '01a20440-0000-7000-8000-000000000000'], 3, /There is no run/],
    [['run', 'logs', '01a20440-0000-7000-8000-000000000000'], 3, /There is no run/],
    [
      ['document', 'show', 'Runbook', 'nothing'],
      3,
      /There is no Runbook "nothing" in space "default"\.\n.*fettle document list/,
    ],
  ])('answers %j with exit %d', async (args, exitCode, message) => {
    const result = await cli.fettle(args);
    expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode, stdout: '' });
    expect(result.stderr).toMatch(message);
  });

  it('runs one command on hosts, hands its arguments on untouched, and shows output as data', async () => {
    const argument = "a'b $(touch /tmp/fettle-oops) ${{ inputs.x }}\u001b[2J";
    const args = ['exec', '--on', 'true', '--follow', '--', 'printf', '%s\\n', argument];
    const plain = await cli.fettle(args);
    expect(plain).toMatchObject({ exitCode: 0 });
    expect(plain.stdout.trimEnd().split('\n').sort()).toEqual(
      ['host-000', 'host-001', 'host-002'].map((host) => `${host} | ${argument}`),
    );
    const terminal = await cli.fettle(args, { terminal: true, env: { NO_COLOR: '1' } });
    expect(terminal.stdout).not.toContain('\u001b');
    expect(terminal.stdout).toContain('\\x1b[2J');
  }, 180_000);

  it('prints the accepted run with -o json, and its logs later', async () => {
    const { id } = await cli.json<RunSummary>('exec', '--on', 'true', '--', 'echo', 'hello');
    const followed = await cli.fettle(['run', 'logs', id, '--follow']);
    expect(followed).toMatchObject({ exitCode: 0 });
    expect(followed.stdout.match(/^host-00\d \| hello$/gm)).toHaveLength(3);
    expect(await cli.fettle(['run', 'logs', id, '--asset', 'host-002'])).toMatchObject({ stdout: 'hello\n' });
    const chunks = await cli.json<{ asset: string; body: string }[]>('run', 'logs', id);
    expect(chunks.map(({ body }) => body)).toEqual(['hello\n', 'hello\n', 'hello\n']);
  }, 180_000);

  it('says that a run has no targets, and for how many assets nobody could tell', async () => {
    const on = 'asset.labels.nowhere == "x"';
    const assets = (await cli.json<unknown[]>('asset', 'list')).length;
    const refused = await cli.fettle(['exec', '--on', on, '--', 'true']);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    const accepted = await cli.fettle(['exec', '--on', on, '--allow-empty', '--', 'true']);
    expect(accepted.exitCode).toBe(0);
    expect(accepted.stderr).toMatch(/^Accepted, without targets; see: fettle run logs --follow /);
    expect(accepted.stderr).toContain(`warning: for ${assets} more asset`);
    const id = accepted.stdout.trim();
    const followed = await cli.fettle(['run', 'follow', id]);
    expect(followed).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/ succeeded.*: no targets\n$/) });
    expect((await cli.fettle(['run', 'show', id])).stdout).toMatch(/targets +none: no asset matched the selector\n/);
    expect(await cli.json('run', 'show', id)).toMatchObject({ targetCount: 0, undeterminedCount: assets });
  }, 180_000);

  it('detaches at Ctrl-C with 130, and the run goes on until it is cancelled', async () => {
    const follower = cli.spawn(['exec', '--on', 'asset.labels.number == "0"', '--follow', '--', 'sleep', '300']);
    await follower.said(/Run \S+ of exec/);
    const id = /Run (\S+) of exec/.exec(follower.stderr)?.[1] ?? '';
    await new Promise((resolve) => setTimeout(resolve, 1000));
    follower.kill('SIGINT');
    expect(await follower.ended).toBe(130);
    expect(follower.stderr).toContain(`fettle run follow ${id}`);
    expect((await cli.json<RunDetail>('run', 'show', id)).state).toMatch(/^(queued|running)$/);
    const again = cli.spawn(['run', 'follow', id]);
    const cancelled = await cli.fettle(['run', 'cancel', id, '--reason', 'enough', '--follow']);
    expect(cancelled.exitCode).toBe(0);
    expect(await again.ended).toBe(6);
    expect((await cli.json<RunDetail>('run', 'show', id)).state).toBe('cancelled');
    expect(await cli.fettle(['run', 'cancel', id])).toMatchObject({ exitCode: 1, stdout: '' });
  }, 90_000);

  it('goes on following when the API is killed and comes back', async () => {
    const script = 'for i in 1 2 3 4 5 6 7 8; do echo tick-$i; sleep 1; done';
    const follower = cli.spawn(['exec', '--on', 'true', '--follow', '--', 'sh', '-c', script]);
    await follower.said(/tick-2/);
    const { port } = cli.api;
    await cli.api.stop('SIGKILL');
    await follower.said(/the API is away/);
    cli.api = await ApiProcess.start(cli.stack.environment, { port });
    expect(await follower.ended).toBe(0);
    expect(follower.stderr).toContain('The API is back.');
    const ticks = ['host-000', 'host-001', 'host-002'].flatMap((host) =>
      [1, 2, 3, 4, 5, 6, 7, 8].map((tick) => `${host} | tick-${tick}`),
    );
    expect(follower.stdout.trimEnd().split('\n').sort()).toEqual(ticks);
  }, 90_000);

  it('lists, pauses, resumes and triggers schedules', async () => {
    const listed = await cli.fettle(['schedule', 'list']);
    expect(listed.stdout).toMatch(/nightly +greet +30 2 \* \* \* +Europe\/Berlin +active +in /);
    expect((await cli.fettle(['schedule', 'pause', 'nightly'])).exitCode).toBe(2);
    expect((await cli.fettle(['schedule', 'pause', 'nightly', '--reason', 'holiday'])).exitCode).toBe(0);
    const paused = await cli.fettle(['schedule', 'show', 'nightly']);
    expect(paused.stdout).toMatch(/by local-admin: holiday/);
    expect(paused.stdout).not.toMatch(/02:30:00/);
    expect(paused.stdout).toContain('It starts nothing while it is paused; `fettle schedule preview nightly`');
    const backfill = ['schedule', 'backfill', 'nightly', '--from', '7d', '--to', '1h', '--reason', 'nobody was there'];
    const dry = await cli.fettle([...backfill, '--dry-run']);
    expect(dry.exitCode).toBe(0);
    expect(dry.stdout).toMatch(/^(\d{4}-\S+Z\n){6,8}$/);
    expect(dry.stderr).toMatch(/^warning: Schedule "nightly" is paused.*\n\d instants would be filled in\.\n$/);
    expect(await cli.fettle(backfill)).toMatchObject({ exitCode: 1, stdout: '' });
    expect((await cli.fettle(['schedule', 'resume', 'nightly'])).exitCode).toBe(0);
    const active = await cli.fettle(['schedule', 'show', 'nightly']);
    expect(active.stdout.match(/02:30:00 CES?T/g)?.length).toBeGreaterThanOrEqual(5);
    const triggered = await cli.fettle(['schedule', 'trigger', 'nightly', '--follow', '-o', 'json']);
    expect(triggered.exitCode).toBe(0);
    expect(JSON.parse(triggered.stdout)).toMatchObject({ schedule: 'nightly', state: 'succeeded' });
    const preview = await cli.json<unknown[]>('schedule', 'preview', 'nightly');
    expect(preview).toHaveLength(5);
    expect((await cli.fettle(['schedule', 'show', 'nothing'])).exitCode).toBe(3);
  }, 180_000);
});
