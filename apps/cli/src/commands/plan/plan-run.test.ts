import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Plan } from '@fettle/contracts';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture } from '../../session/testing/capture-host.js';

const source = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: restart}
spec:
  inputs: {type: object, properties: {service: {type: string, default: nginx}, times: {type: integer, default: 1}}, additionalProperties: false}
  targets: asset.kind == "server"
  steps:
    - {id: probe, uses: ssh.run, with: {argv: [systemctl, is-active, '\${{ inputs.service }}'], effect: read-only}}
    - {id: restart, uses: ssh.run, if: 'asset.labels.role == "web"', with: {argv: [systemctl, restart, '\${{ inputs.service }}'], become: true}}
    - {id: tell, uses: ssh.run, with: {argv: [echo, '\${{ asset.name }}', 'it''s \${{ steps.probe.stdout }}']}}
    - {id: sub, call: {runbook: inner}}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: inner}
spec: {steps: [{id: hook, uses: http.request, with: {url: 'https://example.org/'}}]}
`;

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-plan-'));
  file = join(folder, 'a.yaml');
  await writeFile(file, source);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const targets = Array.from({ length: 12 }, (_, index) => [
  '--target',
  `web-${index + 10}:role=${index < 9 ? 'web' : 'db'}`,
]);
const plan = (...more: string[]) => capture(['plan', 'restart', '-f', file, ...targets.flat(), ...more]);

describe('fettle plan -f', () => {
  it('shows equal renderings once, and what differs by host as a pattern', async () => {
    const { exitCode, stdout } = await plan();
    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      '    12 targets (web-10, web-11, web-12, web-13, web-14, web-15, and 6 more): read-only\n      systemctl is-active nginx\n',
    );
    expect(stdout).toContain(
      'mutating\n      systemctl restart nginx (as root)\n    web-19, web-20, web-21: skipped\n',
    );
    expect(stdout).toContain(`      echo '{1}' '(known after probe)'\n      web-10: {1} = web-10\n`);
    expect(stdout).toContain('… 9 more that differ there');
    expect(stdout).toMatch(
      /sub {2}calls inner sha256:\w+ on 12 targets\n {4}sub\/hook {2}http\.request {2}\(once, for the run\)\n/,
    );
    expect(stdout).toContain('outcomes  34 run, 3 skip');
  });

  it('gives no size and digest of a file whose content is known later', async () => {
    const path = join(folder, 'files.yaml');
    const put = (id: string, content: string) =>
      `    - {id: ${id}, uses: file.put, with: {path: '/etc/\${{ asset.name }}', content: '${content}'}}\n`;
    const head =
      'apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: files}\nspec:\n  targets: asset.kind == "server"\n';
    const probe = '    - {id: probe, uses: ssh.run, with: {argv: [uname], effect: read-only}}\n';
    const steps = [probe, put('known', 'one'), put('later', 'one ${{ steps.probe.stdout }}')].join('');
    await writeFile(path, `${head}  steps:\n${steps}`);
    const planned = (...more: string[]) => capture(['plan', 'files', '-f', path, ...targets.flat(), ...more]);
    const { exitCode, stdout } = await planned();
    expect(exitCode).toBe(0);
    expect(stdout).toContain("      file '{1}' 0644, 3 bytes, sha256 7692c3ad3540\n");
    expect(stdout).toContain("      file '{1}' 0644, size and sha256 known after probe\n");
    const one = await planned('--host', 'web-20');
    expect(one.stdout).toContain('      file /etc/web-20 0644, size and sha256 known after probe\n');
  });

  it('shows one target, or everything', async () => {
    const one = await plan('--host', 'web-20');
    expect(one.stdout).toContain('    web-20: skipped\n');
    expect(one.stdout).toContain("      echo web-20 '(known after probe)'\n");
    expect(one.stdout).not.toContain('web-11');
    expect((await plan('--full')).stdout.match(/echo web-/g)).toHaveLength(12);
    expect(await plan('--host', 'nobody')).toMatchObject({ exitCode: 3 });
  });

  it('gives programs the whole plan, with the same digest for the same request', async () => {
    const read = async (...more: string[]): Promise<Plan> =>
      JSON.parse((await plan('-o', 'json', ...more)).stdout) as Plan;
    const first = await read();
    expect(first).toMatchObject({ inputs: { service: 'nginx', times: 1 }, targets: { count: 12 } });
    expect((await read()).digest).toBe(first.digest);
    expect((await read('--input', 'service=httpd', '--input', 'times=2')).inputs).toEqual({
      service: 'httpd',
      times: 2,
    });
    expect((await read('--input', 'service=httpd')).digest).not.toBe(first.digest);
  });

  it('ends with 9 where it could not be rendered, and says where', async () => {
    const labels = join(folder, 'labels.yaml');
    await writeFile(
      labels,
      `apiVersion: fettle/v1
kind: Runbook
metadata: {name: labels}
spec:
  targets: asset.kind == "server"
  steps:
    - {id: probe, uses: ssh.run, with: {argv: [id], effect: read-only}}
    - {id: mount, uses: ssh.run, with: {argv: [mount, '\${{ asset.labels.disk }}']}}
    - {id: after, uses: ssh.run, with: {argv: [df]}}
`,
    );
    const wrong = ['plan', '-f', labels, '--target', 'a:disk=sda', '--target', 'b', '--target', 'c'];
    const text = await capture(wrong);
    expect(text.exitCode).toBe(9);
    expect(text.stdout).toContain('mount sda');
    expect(text.stderr).toContain('on 2 targets, because it could not be rendered: mount; a run fails there');
    const json = await capture([...wrong, '-o', 'json']);
    expect([json.exitCode, (JSON.parse(json.stdout) as Plan).targets.count]).toEqual([9, 3]);
    expect((await capture([...wrong, '--host', 'b'])).exitCode).toBe(9);
    expect((await capture([...wrong, '--host', 'a'])).exitCode).toBe(0);
  });

  it('refuses what it cannot plan', async () => {
    expect(await capture(['plan', '-f', file])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('restart, inner'),
    });
    expect(await plan('--input', 'times=x')).toMatchObject({ exitCode: 2 });
    expect(await plan('--target', 'a b')).toMatchObject({ exitCode: 2 });
    expect(await capture(['plan'])).toMatchObject({ exitCode: 2 });
    expect(await capture(['plan', 'restart', '--target', 'x'])).toMatchObject({ exitCode: 2 });
  });
});
