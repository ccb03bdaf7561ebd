import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import { describeDatabase, httpUrl, parseConfig } from './process-config.js';

const minimal = {
  DATABASE_URL: 'postgres://u:pw@h:5/db',
  TEMPORAL_ADDRESS: '127.0.0.1:7233',
  FETTLE_DATA_DIR: '/data',
};

function failure(env: Record<string, string | undefined>): FettleError {
  try {
    parseConfig(env);
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('parseConfig', () => {
  it('fills in every default from the three values that have none', () => {
    expect(parseConfig(minimal)).toEqual({
      databaseUrl: 'postgres://u:pw@h:5/db',
      databasePoolSize: 20,
      temporalAddress: '127.0.0.1:7233',
      temporalNamespace: 'default',
      temporalTaskQueue: 'fettle',
      workerDeployment: undefined,
      buildId: undefined,
      dataDir: '/data',
      host: '127.0.0.1',
      port: 7070,
      publicUrl: 'http://127.0.0.1:7070',
      logLevel: 'info',
      metricsPublic: false,
      sealingKeyFile: '/data/keys/sealing.key',
      tokenKeyFile: '/data/keys/token.key',
      auditKeyFile: '/data/keys/audit.pem',
      auditPublicKeyFile: undefined,
      bootstrapTokenFile: undefined,
    });
  });

  it('is frozen', () => {
    expect(Object.isFrozen(parseConfig(minimal))).toBe(true);
  });

  it('takes an empty value for one that is not set', () => {
    expect(parseConfig({ ...minimal, FETTLE_PORT: '', TEMPORAL_NAMESPACE: '' }).port).toBe(7070);
  });

  it('resolves relative key files against the data directory', () => {
    const config = parseConfig({ ...minimal, FETTLE_SEALING_KEY_FILE: 'k', FETTLE_BOOTSTRAP_TOKEN_FILE: '/t' });
    expect(config.sealingKeyFile).toBe('/data/k');
    expect(parseConfig({ ...minimal, FETTLE_AUDIT_PUBLIC_KEY_FILE: 'p' }).auditPublicKeyFile).toBe('/data/p');
    expect(config.bootstrapTokenFile).toBe('/t');
  });

  it('names every wrong or missing variable at once', () => {
    const error = failure({ DATABASE_URL: 'mysql://x', FETTLE_PORT: '70700', TEMPORAL_ADDRESS: 'nohost' });
    expect(error.code).toBe('invalid-config');
    expect(error.detail).toEqual({ variables: ['DATABASE_URL', 'TEMPORAL_ADDRESS', 'FETTLE_DATA_DIR', 'FETTLE_PORT'] });
    expect(error.message).toContain('FETTLE_DATA_DIR is not set');
  });

  it('never repeats a value, which may be a secret', () => {
    const error = failure({ ...minimal, DATABASE_URL: 'mysql://u:hunter2@h/db' });
    expect(`${error.message}${error.remedy}${JSON.stringify(error.detail)}`).not.toContain('hunter2');
  });

  it.each([{ FETTLE_WORKER_DEPLOYMENT: 'a.b' }, { FETTLE_WORKER_DEPLOYMENT: 'a:b' }, { FETTLE_BUILD_ID: 'a b' }])(
    'refuses %j',
    (more) => {
      expect(failure({ ...minimal, ...more }).detail).toEqual({ variables: Object.keys(more) });
    },
  );

  it.each(['[::1]:7233', 'temporal.internal:7233'])('accepts the Temporal address %s', (address) => {
    expect(parseConfig({ ...minimal, TEMPORAL_ADDRESS: address }).temporalAddress).toBe(address);
  });

  it.each(['0', '9', '10.5', '-1', 'x', '201'])('refuses a pool of %s connections', (size) => {
    expect(failure({ ...minimal, FETTLE_DATABASE_POOL: size }).detail).toEqual({ variables: ['FETTLE_DATABASE_POOL'] });
  });
});

describe('describeDatabase', () => {
  it('leaves the password out', () => {
    expect(describeDatabase('postgres://u:pw@h:5/db?sslmode=require')).toBe('postgres://u@h:5/db');
    expect(describeDatabase('::')).not.toContain('::');
  });
});

describe('httpUrl', () => {
  it('puts an IPv6 address in brackets', () => {
    expect(httpUrl('::1', 1)).toBe('http://[::1]:1');
  });
});
