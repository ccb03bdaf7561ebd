import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunAt, RunDetail, RunDiff, RunHistoryView, RunSummary } from '@fettle/contracts';
import { CliStack } from './cli-stack.js';

const ID = '[0-9a-f]{8}-[0-9a-f-]{27}';
/** Each step writes a line to a file of the host's account, and fails as long as there is a file `break-STEP-HOST`. */
const script = 'echo "$1 $2" >> "$HOME/lines"; [ ! -e "$HOME/break-$1-$2" ]';
const step = (id: string, more = ''): string =>
  `    - {id: ${id}, uses: ssh.script, with: {script: '${script}', arguments: [${id}, '\${{ asset.name }}']}${more}}\n`;
const runbook = (name: string, steps: string, head = '  targets: asset.kind == "server"\n'): string =>
  `apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: ${name}}\nspec:\n${head}  steps:\n${steps}`;

let cli: CliStack;

beforeAll(async () => {
  cli = await CliStack.start(3);
  await apply(
    runbook('two', step('one') + step('two')),
    runbook('edited', step('first') + step('wrong')),
    runbook('leaf', step('begin') + step('end')),
    runbook('outer', '    - {id: sub, call: {runbook: leaf}}\n', ''),
    runbook(
      'unsure',
      `    - {id: change, uses: ssh.script, timeout: 29s, with: {script: 'echo x >> "$HOME/unsure"; sleep 300'}}\n`,
    ),
  );
}, 180_000);
afterAll(() => cli?.stop(), 60_000);

async function apply(...documents: string[]): Promise<void> {
  const file = await cli.write('documents.yaml', documents.join('---\n'));
  expect(await cli.fettle(['apply', '-f', file])).toMatchObject({ exitCode: 0 });
}

const home = (name: string): string => join(cli.sshd.account.home, name);
const breakAt = (name: string): Promise<void> => writeFile(home(`break-${name}`), '');
const mend = (name: string): Promise<void> => rm(home(`break-${name}`));
const linesOf = async (id: string): Promise<string[]> =>
  (await readFile(home('lines'), 'utf8')).split('\n').filter((line) => line.startsWith(`${id} `));

/** A followed run that fails; its id. */
async function failing(name: string): Promise<string> {
  const result = await cli.fettle(['run', 'start', name, '--follow']);
  expect({ exitCode: result.exitCode, stderr: result.stderr }).toMatchObject({ exitCode: 6 });
  return new RegExp(`Run (${ID}) of ${name}`).exec(result.stderr)![1]!;
}

describe('fettle run resume', () => {
  it('goes on where a run stopped, shows how both belong together, and refuses what makes no sense', async () => {
    await breakAt('two-host-001');
    const first = await failing('two');
    await mend('two-host-001');
    const resumed = await cli.fettle(['run', 'resume', first, '--follow']);
    expect({ exitCode: resumed.exitCode, stderr: resumed.stderr }).toMatchObject({ exitCode: 0 });
    expect(resumed.stdout).toMatch(/^TARGET +STATE +STEP/);
    expect(resumed.stdout.match(/^host-00\d +succeeded +two/gm)).toHaveLength(3);
    // Two of them are not made again, and took no time in this run.
    expect(resumed.stdout.match(/^host-00[02] +succeeded +two +0 +\(in the run before\)$/gm)).toHaveLength(2);
    expect(resumed.stdout).toMatch(/^host-001 +succeeded +two +0 +\d+ ms$/m);
    expect(resumed.stderr).toMatch(/succeeded in .*: 3 succeeded\n$/);
    expect(resumed.stdout + resumed.stderr).not.toContain('\u001b');
    expect([(await linesOf('one')).length, (await linesOf('two')).length]).toEqual([3, 4]);
    const second = new RegExp(`Run (${ID}) of two`).exec(resumed.stderr)![1]!;
    expect((await cli.fettle(['run', 'show', first])).stdout).toMatch(
      new RegExp(`^taken up by +run ${second} \\(succeeded\\)$`, 'm'),
    );
    expect((await cli.fettle(['run', 'show', second])).stdout).toMatch(
      new RegExp(`^continues +run ${first} \\(resume\\)$`, 'm'),
    );
    for (const [id, message, remedy] of [
      [first, /was taken up by run/, `fettle run resume ${second}`],
      [second, /has succeeded; nothing of it is left to do/, `fettle run retry ${second} --targets all`],
    ] as const) {
      const refused = await cli.fettle(['run', 'resume', id]);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringMatching(message) });
      expect(refused.stderr).toContain(`  what to do: `);
      expect(refused.stderr).toContain(remedy);
    }
    // What had come through before it is there from its first entry on.
    for (const [at, counts] of [
      ['1', { succeeded: 2, pending: 1 }],
      ['1000000', { succeeded: 3, pending: 0, running: 0 }],
    ] as const) {
      expect((await cli.json<RunAt>('run', 'show', second, '--at', at)).counts).toMatchObject(counts);
    }
    const diff = await cli.json<RunDiff>('run', 'diff', first, second);
    expect(diff.targets.changed).toEqual([{ asset: 'host-001', a: 'failed', b: 'succeeded' }]);
    const shown = await cli.fettle(['run', 'diff', first, second]);
    expect(shown.exitCode).toBe(0);
    expect(shown.stdout).toMatch(/^~ state +failed +succeeded$/m);
    expect(shown.stdout).toMatch(/^host-001 +failed +succeeded$/m);
    expect(shown.stdout).toMatch(/^~ two +2 succeeded, 1 failed \(.*\) +3 succeeded/m);
    expect(shown.stderr).toBe('2 targets ended alike.\n');
    expect((await cli.fettle(['run', 'diff', first, first])).stdout).not.toMatch(/^~/m);
    expect(
      (await cli.fettle(['run', 'diff', first, first.replace(/.$/, (last) => (last === '0' ? '1' : '0'))])).exitCode,
    ).toBe(3);
  }, 90_000);

  it('says the id of the new run, as text and as JSON, and the same one for the same key', async () => {
    await breakAt('one-host-000');
    const first = await failing('two');
    const accepted = await cli.fettle(['run', 'resume', first, '--idempotency-key', 'again']);
    expect(accepted).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(new RegExp(`^${ID}\n$`)) });
    expect(accepted.stderr).toBe(`Accepted, 3 targets; follow it with: fettle run follow ${accepted.stdout}`);
    const same = await cli.json<RunSummary>('run', 'resume', first, '--idempotency-key', 'again');
    expect(same).toMatchObject({ id: accepted.stdout.trim(), continues: { runId: first, how: 'resume' } });
    expect((await cli.fettle(['run', 'follow', same.id])).exitCode).toBe(6);
    await mend('one-host-000');
    const last = await cli.fettle(['run', 'resume', same.id, '--follow', '-o', 'json']);
    expect(last.exitCode).toBe(0);
    expect(JSON.parse(last.stdout)).toMatchObject({ state: 'succeeded', counts: { succeeded: 3 } });
  }, 90_000);

  it('shows in what another version differs, and goes on with it once that was acknowledged', async () => {
    await breakAt('wrong-host-002');
    const ids = [await failing('edited'), await failing('edited'), await failing('edited')] as const;
    await apply(runbook('edited', step('first', ', timeout: 1m') + step('right')));
    const args = (id: string): string[] => ['run', 'resume', id, '--runbook-version', 'latest', '--follow'];
    const refused = await cli.fettle(args(ids[0]));
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^ {2}- spec\.steps\[wrong\]/m);
    expect(refused.stderr).toMatch(/^ {2}"first" is done and stays as it was, although it reads otherwise now$/m);
    expect(refused.stderr).toMatch(/^ {2}"wrong" was done, and is not in this version$/m);
    const digest = /--acknowledge (sha256:[0-9a-f]{64})/.exec(refused.stderr)![1]!;
    const acknowledged = await cli.fettle([...args(ids[0]), '--acknowledge', digest]);
    expect([acknowledged.exitCode, acknowledged.stderr]).toEqual([0, expect.stringMatching(/3 succeeded\n$/)]);
    // A person at a terminal is asked; anything but yes is no.
    const no = await cli.fettle(args(ids[1]), { terminal: true, typed: '\n' });
    expect(no.exitCode).toBe(1);
    expect(no.stderr).toContain(`Take run ${ids[1]} up with what is different? [y/N] `);
    expect((await cli.fettle(args(ids[1]), { terminal: true, typed: 'y\n' })).exitCode).toBe(0);
    const yes = await cli.fettle([...args(ids[2]), '--yes', '-o', 'json']);
    expect(yes.exitCode).toBe(0);
    expect(JSON.parse(yes.stdout)).toMatchObject({ version: digest, state: 'succeeded' });
    // Targets that had come through stay as they ended: what is new is done on the one that had not.
    expect(await linesOf('right')).toEqual(Array.from({ length: 3 }, () => 'right host-002'));
    await mend('wrong-host-002');
  }, 120_000);

  it('looks into the runbooks that a run called, and takes these up with their newest versions', async () => {
    await breakAt('end-host-000');
    const first = await failing('outer');
    await apply(runbook('leaf', step('begin', ', timeout: 1m') + step('finish')));
    const refused = await cli.fettle(['run', 'resume', first, '--runbook-version', 'latest', '-o', 'json']);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^Runbook "leaf", which it calls: sha256:\w+ -> sha256:\w+$/m);
    expect(refused.stderr).toMatch(/^ {2}- spec\.steps\[end\]/m);
    expect(refused.stderr).toMatch(/^ {2}"sub > begin" is done and stays as it was/m);
    expect(refused.stderr).toMatch(/^ {2}"sub > end" was done, and is not in this version$/m);
    expect(refused.stderr).toMatch(/of "leaf", which it calls, there are other versions\./);
    // The version of the run itself is the one that it had: that alone acknowledges nothing.
    const { version } = await cli.json<RunDetail>('run', 'show', first);
    const own = await cli.fettle(['run', 'resume', first, '--runbook-version', 'latest', '--acknowledge', version]);
    expect(own.exitCode).toBe(1);
    const args = ['run', 'resume', first, '--runbook-version', 'latest', '--yes', '--follow'];
    expect((await cli.fettle(args)).exitCode).toBe(0);
    expect([(await linesOf('begin')).length, await linesOf('finish')]).toEqual([3, ['finish host-000']]);
    await mend('end-host-000');
  }, 90_000);
});

describe('fettle run resolve and retry', () => {
  it('settle what nobody knows: nothing is made again in silence', async () => {
    const { id } = await cli.json<RunSummary>('run', 'start', 'unsure', '--on', 'asset.labels.number != "2"');
    const begun = async (): Promise<number> =>
      (await readFile(home('unsure'), 'utf8').catch(() => '')).split('\n').length - 1;
    for (let tries = 0; tries < 600 && (await begun()) < 2; tries += 1) await sleep(50);
    await cli.restartWorker('SIGKILL');
    expect((await cli.fettle(['run', 'follow', id])).exitCode).toBe(6);
    for (const verb of ['resume', 'retry']) {
      const refused = await cli.fettle(['run', verb, id]);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toMatch(
        /Nobody knows whether these steps happened: "change" on host-000, "change" on host-001\./,
      );
      expect(refused.stderr).toContain(`fettle run resolve ${id} --target host-000 --step 'change' --as done|not-done`);
      const noReason = await cli.fettle(['run', verb, id, '--rerun-unknown']);
      expect(noReason).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('--reason') });
    }
    const resolve = (...args: string[]) => cli.fettle(['run', 'resolve', id, ...args]);
    expect((await resolve('--target', 'host-000', '--as', 'done')).exitCode).toBe(2);
    expect((await resolve('--target', 'host-000', '--as', 'perhaps', '--reason', 'x')).exitCode).toBe(2);
    expect((await resolve('--target', 'nobody', '--as', 'done', '--reason', 'x')).exitCode).toBe(3);
    expect(await resolve('--target', 'host-000', '--as', 'done', '--reason', 'I looked')).toEqual({
      exitCode: 0,
      stdout: `${id}\n`,
      stderr: `Settled as done; take the run up with: fettle run resume ${id}\n`,
    });
    const twice = await resolve('--target', 'host-000', '--as', 'done', '--reason', 'I looked');
    expect(twice).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('is unknown and unsettled') });
    const json = await resolve('--target', 'host-001', '--as', 'done', '--reason', 'I looked', '-o', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({ id, state: 'failed' });
    const shown = await cli.fettle(['run', 'show', id]);
    expect(shown.stdout).toMatch(/host-000 +unknown .*\("change" settled as done by local-admin: I looked\)/);
    const resumed = await cli.fettle(['run', 'resume', id, '--follow']);
    expect([resumed.exitCode, resumed.stderr]).toEqual([0, expect.stringMatching(/2 succeeded\n$/)]);
    expect(await begun()).toBe(2);
  }, 150_000);

  it('make a run again on the targets that are meant', async () => {
    await breakAt('two-host-001');
    const first = await failing('two');
    const none = await cli.fettle(['run', 'retry', first, '--targets', 'unknown']);
    expect(none).toMatchObject({ exitCode: 1, stdout: '' });
    expect(none.stderr).toMatch(
      /No target of run .* of runbook "two" is unknown\.\n {2}what to do: .*--targets failed/,
    );
    expect((await cli.fettle(['run', 'retry', first, '--targets', 'some'])).exitCode).toBe(2);
    const again = await cli.fettle(['run', 'retry', first, '--targets', 'failed', '--follow']);
    expect(again.exitCode).toBe(6);
    expect(again.stdout.match(/^host-/gm)).toHaveLength(1);
    await mend('two-host-001');
    const all = await cli.fettle(['run', 'retry', first, '--targets', 'all', '--follow', '-o', 'json']);
    expect(all.exitCode).toBe(0);
    expect(JSON.parse(all.stdout)).toMatchObject({
      counts: { succeeded: 3 },
      continues: { runId: first, how: 'retry' },
    });
    expect((await cli.fettle(['run', 'show', first])).stdout.match(/^made again by +run .*$/gm)).toHaveLength(2);
    const unknownRun = '01a20440-0000-7000-8000-000000000000';
    for (const args of [
      ['resume', unknownRun],
      ['retry', unknownRun],
      ['history', unknownRun],
      ['show', unknownRun, '--at', '1'],
    ]) {
      const result = await cli.fettle(['run', ...args]);
      expect({ args, exitCode: result.exitCode }).toEqual({ args, exitCode: 3 });
      expect(result.stderr).toMatch(/There is no run/);
    }
  }, 90_000);
});

describe('fettle run show --at and history', () => {
  it('look back at a run', async () => {
    const [run] = await cli.json<RunSummary[]>('run', 'list', '--runbook', 'two', '--limit', '1');
    const { id } = run!;
    const end = await cli.json<RunAt>('run', 'show', id, '--at', '1000000');
    expect(end).toMatchObject({ state: 'succeeded', counts: { succeeded: 3 } });
    const begin = await cli.json<RunAt>('run', 'show', id, '--at', '1');
    expect(begin).toMatchObject({ seq: 1, lastSeq: end.seq, state: 'queued', counts: { pending: 3 } });
    const shown = await cli.fettle(['run', 'show', id, '--at', String(end.seq)]);
    expect(shown.stdout).toMatch(new RegExp(`^entry +${end.seq} of ${end.seq}$`, 'm'));
    expect(shown.stdout).toMatch(/^state +succeeded$/m);
    expect(shown.stdout).toMatch(/^TARGET +STATE +STEP +ATTEMPT$/m);
    expect(shown.stdout.match(/^host-00\d +succeeded +two +1$/gm)).toHaveLength(3);
    expect((await cli.fettle(['run', 'show', id, '--at', '-1'])).exitCode).toBe(2);
    expect((await cli.fettle(['run', 'show', id, '--at', 'soon'])).exitCode).toBe(2);
  }, 180_000);

  it('read the archive of its workflow', async () => {
    const [run] = await cli.json<RunSummary[]>('run', 'list', '--runbook', 'two', '--limit', '1');
    const { id } = run!;
    let view = await cli.json<RunHistoryView>('run', 'history', id);
    for (let tries = 0; tries < 300 && view.state === 'pending'; tries += 1) {
      await sleep(100);
      view = await cli.json<RunHistoryView>('run', 'history', id);
    }
    expect(view).toMatchObject({ runId: id, state: 'archived', executions: [{ number: 1, state: 'archived' }] });
    const shown = await cli.fettle(['run', 'history', id]);
    expect(shown.stdout).toMatch(/^State +archived$/m);
    expect(shown.stdout).toMatch(/^EXECUTION +STATE +EVENTS +BYTES/m);
    const events = await cli.json<{ eventId: string }[]>('run', 'history', id, '--events');
    expect(events).toHaveLength(view.executions[0]!.events!);
    const file = await cli.write('raw.json', '');
    const raw = await cli.fettle(['run', 'history', id, '--raw', file]);
    expect(raw).toMatchObject({ exitCode: 0, stdout: '', stderr: expect.stringContaining('as archived') });
    const bytes = await readFile(file);
    expect(bytes.length).toBe(view.executions[0]!.bytes);
    expect(JSON.parse(bytes.toString('utf8'))).toMatchObject({ events: { length: events.length } });
    const data = await cli.api.call('GET', `/api/v1/runs/${id}/history/1`);
    expect(gunzipSync(Buffer.from(String(data.body.data), 'base64'))).toEqual(bytes);
    const none = await cli.fettle(['run', 'history', id, '--events', '--execution', '7']);
    expect(none).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringContaining('no execution 7') });
  }, 180_000);
});
