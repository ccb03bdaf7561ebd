import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture } from '../../session/testing/capture-host.js';

const runbook = (body: string): string => `apiVersion: fettle/v1
kind: Runbook
metadata: {name: a}
spec:
  targets: asset.kind == "server"
${body}`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-lint-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function lint(body: string, ...more: string[]) {
  const file = join(folder, 'a.yaml');
  await writeFile(file, runbook(body));
  return { file, ...(await capture(['lint', '-f', file, ...more])) };
}

describe('fettle lint', () => {
  it('prints findings with their places, and ends by the worst of them', async () => {
    const bad = await lint('  steps: [{id: wipe, uses: ssh.run, with: {argv: [wipefs], effect: irreversible}}]\n');
    expect(bad.exitCode).toBe(1);
    expect(bad.stdout).toContain(`${bad.file}:6:11: error: "wipe" cannot be undone`);
    expect(bad.stdout).toContain('[irreversible-without-approval]');
    expect(bad.stdout).toContain('6 |   steps: [{id: wipe');
    expect(bad.stderr).toContain('1 document in 1 file: 1 error, 2 warnings, 1 info; fettle lint --explain');
    const warned = '  steps: [{id: stop, uses: ssh.run, with: {argv: [stop]}}]\n';
    expect((await lint(warned)).exitCode).toBe(0);
    expect((await lint(warned, '--strict')).exitCode).toBe(1);
  });

  it('counts what is ignored, and lists it for programs', async () => {
    const body = `  rollout: {waves: [1, '100%'], maxFailures: 0}
  lint: {ignore: [{code: mutating-without-rollback, reason: known}]}
  steps: [{id: stop, uses: ssh.run, with: {argv: [stop]}}]
`;
    const result = await lint(body, '--strict');
    expect(result).toMatchObject({ exitCode: 0, stdout: '' });
    expect(result.stderr).toContain('1 ignored with a reason');
    const json = await lint(body, '-o', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject([
      { code: 'mutating-without-rollback', ignored: 'known', step: 'stop' },
    ]);
  });

  it('tells first what is not valid', async () => {
    const result = await lint('  steps: [{id: stop, uses: ssh.rum, with: {argv: [stop]}}]\n');
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain('did you mean "ssh.run"?');
  });

  it('explains findings', async () => {
    const one = await capture(['lint', '--explain', 'no-waves']);
    expect(one).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('no-waves (info): a rollout that changes all'),
    });
    const all = await capture(['lint', '--explain', '-o', 'json']);
    expect(JSON.parse(all.stdout)).toContainEqual(
      expect.objectContaining({ code: 'expression-in-shell', level: 'error' }),
    );
    expect(await capture(['lint', '--explain', 'no-wave'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('no-waves'),
    });
    expect(await capture(['lint'])).toMatchObject({ exitCode: 2 });
  });
});
