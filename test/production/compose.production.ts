import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));

interface Service {
  readonly image?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly unknown[];
  readonly healthcheck?: unknown;
  readonly restart?: string;
  readonly ports?: readonly string[];
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

describe('docker-compose.yml', () => {
  it('is accepted by docker-compose', async () => {
    // Exits with another code than 0, and this throws, where the file is not valid.
    const { stdout, stderr } = await run('docker-compose', ['config', '-q'], { cwd: root });
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: '' });
  });

  it('runs two APIs and two workers, and watches the health of all that serve', async () => {
    const { services } = await resolved();
    for (const name of ['postgres', 'temporal', 'api-1', 'api-2', 'worker-1', 'worker-2']) {
      expect({ name, restart: services[name]?.restart }).toEqual({ name, restart: 'unless-stopped' });
      expect(services[name]?.healthcheck).toBeDefined();
    }
    for (const [name, service] of Object.entries(services)) {
      for (const port of service.ports ?? [])
        expect({ name, port }).toEqual({ name, port: expect.stringMatching(/^127\.0\.0\.1:/) });
    }
  });

  it('versions its workers: those of an upgrade stand beside each other, and new runs begin on the new ones', async () => {
    const { services } = await resolved();
    const named = { FETTLE_WORKER_DEPLOYMENT: 'fettle' };
    for (const name of ['worker-1', 'worker-2', 'worker-previous', 'promote']) {
      expect({ name, environment: services[name]?.environment }).toMatchObject({ name, environment: named });
    }
    expect(services['promote']).toMatchObject({
      command: ['apps/worker/dist/deployment.js', 'promote'],
      image: services['worker-1']?.image,
    });
    expect(services['worker-previous']).toMatchObject({ image: 'fettle:previous', profiles: ['previous'] });
    expect(services['worker-previous']).not.toHaveProperty('build');
  });

  it('has no password or key in it: each comes from a file', async () => {
    const { services, secrets } = await resolved();
    for (const [name, { environment = {} }] of Object.entries(services)) {
      for (const [variable, value] of Object.entries(environment)) {
        if (!/PASSWORD|SECRET|TOKEN|KEY|PWD|DATABASE_URL/.test(variable)) continue;
        expect({ name, variable, value }).toEqual({
          name,
          variable: expect.stringMatching(/_FILE$/),
          value: expect.stringMatching(/^\/run\/secrets\//),
        });
      }
    }
    for (const { file } of Object.values(secrets)) expect(file).toContain('/deploy/secrets/');
  });

  it('uses the version of Temporal that `npm run test:production` builds', async () => {
    const { services } = await resolved();
    const builder = await readFile(`${root}scripts/temporal-server-binaries.mjs`, 'utf8');
    const version = /SERVER_VERSION = 'v([\d.]+)'/.exec(builder)?.[1];
    expect(services.temporal?.image).toBe(`temporalio/server:${version}`);
  });
});

/** With anchors resolved, as docker-compose itself reads it. */
async function resolved(): Promise<Compose> {
  const { stdout } = await run('docker-compose', ['config'], { cwd: root, maxBuffer: 16 * 2 ** 20 });
  return parse(stdout) as Compose;
}
