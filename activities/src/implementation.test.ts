import { describe, expect, it } from '@jest/globals';
import { defineAction, type ActionContract } from '@fettle/contracts';
import type { ExecRequest, PutFileRequest, SshPool } from '@fettle/drivers';
import { RedactionSet } from '@fettle/security';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { actions } from './actions.js';
import { actionContracts, type assetGather, type filePut } from './contracts.js';
import { controlAction, type targetAction, type ProbeContext, type TargetContext } from './implementation.js';

/** A context whose hosts only note down what they are asked. */
function noting(): { context: TargetContext; execs: ExecRequest[]; puts: PutFileRequest[] } {
  const execs: ExecRequest[] = [];
  const puts: PutFileRequest[] = [];
  const ssh: Pick<SshPool, 'exec' | 'putFile'> = {
    exec: (_endpoint, _credential, request) => {
      execs.push(request);
      const rest = { durationMs: 1, stdoutBytes: 0, stderrBytes: 0, truncated: false, leftBehind: false };
      return Promise.resolve({ exitCode: 0, ...rest });
    },
    putFile: (_endpoint, _credential, request) => {
      puts.push(request);
      return Promise.resolve({ changed: true, sha256: 'x' });
    },
  };
  const context: TargetContext = {
    asset: { id: 'a', name: 'web-1', space: 'default' },
    endpoint: { host: '127.0.0.1', port: 22, user: 'ops', hostKeys: [] },
    credential: { kind: 'password', password: 'x' },
    ssh: ssh as SshPool,
    token: 't',
    undo: { stepToken: 'step', keeps: true, of: null },
    timeoutMs: 1000,
    signal: new AbortController().signal,
    output: () => undefined,
    secret: (name) => Promise.resolve(`value of ${name}`),
    redactor: () => new RedactionSet([]).redactor(),
    saveFacts: () => Promise.resolve(),
    patches: {
      scanned: () => Promise.resolve(new Map()),
      tested: () => Promise.resolve(new Map()),
      baseline: () =>
        Promise.resolve({
          baseline: null,
          scanMaxAgeMs: 0,
          rules: { updates: 'all' as const, versions: [], approved: [], rejected: [], delayMs: 0 },
        }),
      firstSeen: () => Promise.resolve(new Map()),
      chosen: () => Promise.resolve(null),
      chosenBy: () => Promise.resolve([]),
      choose: (_attempt, selection) => Promise.resolve(selection),
      ended: () => Promise.resolve(),
    },
    memo: { recall: () => Promise.resolve(null), keep: (value) => Promise.resolve({ value, ageMs: 0 }) },
    identity: () => Promise.resolve({ user: 'ops', credential: { kind: 'password', password: 'x' } }),
    useCredential: () => Promise.resolve('old'),
    note: () => undefined,
    detached: null,
  };
  return { context, execs, puts };
}

const target = { assetId: 'a', name: 'web-1' };

describe('implementations', () => {
  it.each([
    ['ssh.run', { argv: ['printf', '%s', "it's"], become: true }],
    ['ssh.run', { argv: ['id'] }],
    ['ssh.script', { script: 'id', arguments: ['a b'], become: { user: 'app', credential: 'sudo' } }],
    ['asset.gather', { packages: false }],
  ] as const)('%s runs exactly what plan shows', async (name, given) => {
    const contract = actionContracts[name];
    const input = contract.input.parse(given);
    const { context, execs } = noting();
    await actions[name].execute(input, context);
    const rendered = (contract.render as (input: unknown, target: unknown) => ReturnType<typeof contract.render>)(
      input,
      target,
    );
    expect(execs.map((request) => request.argv)).toEqual(rendered.argv);
    expect(execs.map((request) => request.become?.user)).toEqual(rendered.argv.map(() => rendered.becomeUser));
  });

  it('asset.gather has one time for all its commands', async () => {
    const input = actionContracts['asset.gather'].input.parse({});
    const { context, execs } = noting();
    const slow = (ms: number): TargetContext => ({
      ...context,
      timeoutMs: 200,
      ssh: {
        exec: async (...given: Parameters<SshPool['exec']>) => {
          await sleep(ms);
          return context.ssh.exec(...given);
        },
      } as SshPool,
    });
    await expect(actions['asset.gather'].execute(input, slow(80))).rejects.toMatchObject({ code: 'command-timeout' });
    expect(execs.length).toBeLessThan(4);
    const left = execs.map((request) => request.timeoutMs);
    expect(left[0]).toBeLessThanOrEqual(200);
    for (const [index, ms] of left.slice(1).entries()) expect(ms).toBeLessThan(left[index]! - 50);
  });

  it('file.put places exactly what plan shows', async () => {
    const input = actionContracts['file.put'].input.parse({ path: '/etc/motd', content: 'aGk=', encoding: 'base64' });
    const { context, puts } = noting();
    await actions['file.put'].execute(input, context);
    const [file] = actionContracts['file.put'].render(input, target).files;
    expect(puts).toMatchObject([{ path: file?.path, mode: file?.mode, content: Buffer.from('hi') }]);
    expect(file).toMatchObject({
      sizeBytes: 2,
      sha256: '8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4',
    });
  });

  it('file.put refuses as its input what is not base64: also the text that a plan has for what is known later', () => {
    const { input } = actionContracts['file.put'];
    const file = { path: '/etc/motd', content: '(known after probe)' };
    expect(input.safeParse(file).success).toBe(true);
    const issues = input.safeParse({ ...file, encoding: 'base64' }).error?.issues;
    expect(issues).toMatchObject([{ path: ['content'], message: expect.stringContaining('must be base64') }]);
  });

  it('have an undo that is an action on targets, and takes what the contract makes of each input', () => {
    const undone = Object.values<ActionContract>(actionContracts).filter(({ compensation }) => compensation !== null);
    expect(undone.map(({ name }) => name)).toEqual(['file.put']);
    const input = actionContracts['file.put'].input.parse({ path: '/etc/motd', content: 'hi', become: true });
    const compensation = actionContracts['file.put'].compensation!;
    const given = actionContracts['file.restore'].input.parse(compensation.input(input));
    expect(compensation.uses).toBe('file.restore');
    expect(given).toEqual({
      path: '/etc/motd',
      put: '8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4',
      become: true,
    });
  });

  it('file.put keeps what it replaces where its step may be undone, under the token of the step', async () => {
    const input = actionContracts['file.put'].input.parse({ path: '/etc/motd', content: 'hi' });
    const { context, puts } = noting();
    await actions['file.put'].execute(input, context);
    await actions['file.put'].execute(input, { ...context, undo: { ...context.undo, keeps: false } });
    expect(puts.map(({ keepAs }) => keepAs)).toEqual(['step', undefined]);
  });

  it.each([
    ['restored', 'succeeded', 'succeeded'],
    // What is to be undone is kept first: a step that failed before that changed nothing.
    ['nothing', 'failed', 'succeeded'],
    ['nothing', 'succeeded', 'failed'],
    ['nothing', null, 'failed'],
  ] as const)('file.restore that finds %s of a step that is %s has %s', async (result, of, state) => {
    const input = actionContracts['file.restore'].input.parse({ path: '/etc/motd', put: 'a'.repeat(64) });
    const { context } = noting();
    const ssh = { restoreFile: () => Promise.resolve(result) } as unknown as SshPool;
    const end = await actions['file.restore'].execute(input, { ...context, ssh, undo: { ...context.undo, of } });
    expect(end).toMatchObject({ state, ...(state === 'failed' ? { error: { code: 'former-file-missing' } } : {}) });
  });

  it('are given the credentials that their contract declares, and no others', async () => {
    const { context } = noting();
    const input = actionContracts['ssh.run'].input.parse({ argv: ['id'], become: { credential: 'sudo' } });
    await expect(actions['ssh.run'].execute(input, context)).resolves.toMatchObject({ state: 'succeeded' });
    const contract = defineAction({
      ...actionContracts['http.request'],
      detached: () => false,
      input: z.strictObject({ bearer: z.string(), other: z.string() }),
      output: z.object({ value: z.string() }),
      sample: () => ({}),
      compensation: null,
      effect: () => 'read-only',
      render: () => ({ argv: [], files: [], calls: [] }),
    });
    const taking = (from: 'bearer' | 'other') =>
      controlAction(contract, async (given, { secret }) => ({
        state: 'succeeded',
        exitCode: null,
        error: null,
        output: { value: await secret(given[from]) },
      })).execute(
        { bearer: 'declared', other: 'hidden' },
        {
          ...context,
          stepToken: 't',
          testedSets: { keep: () => Promise.reject(new Error('nobody asks')) },
          countAssets: null,
        },
      );
    expect(await taking('bearer')).toMatchObject({ output: { value: 'value of declared' } });
    await expect(taking('other')).rejects.toMatchObject({
      code: 'undeclared-secret',
      detail: { mayHaveStarted: false },
    });
  });

  it('have a probe exactly where their contract tells what is looked at, or do not compile', async () => {
    type Given<Contract extends ActionContract> = Parameters<typeof targetAction<Contract>>['length'];
    const withProbe: Given<typeof filePut> = 3;
    const withoutProbe: Given<typeof assetGather> = 2;
    expect([withProbe, withoutProbe]).toEqual([3, 2]);
    const { context, execs } = noting();
    const asking: ProbeContext = { ...context, wantsDiff: false, lostToken: null };
    const input = (probe?: readonly string[]): unknown =>
      actionContracts['ssh.run'].input.parse({ argv: ['rm', '-rf', '/data'], become: true, probe });
    expect(await actions['ssh.run'].probe(input(), asking)).toBeNull();
    expect(await actions['asset.gather'].probe({}, asking)).toBeNull();
    expect(execs).toEqual([]);
    expect(await actions['ssh.run'].probe(input(['test', '-e', '/data']), asking)).toMatchObject({ state: 'present' });
    expect(execs).toMatchObject([{ argv: ['test', '-e', '/data'], become: { user: 'root' } }]);
  });
});
