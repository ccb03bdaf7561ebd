import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import { RedactionSet } from '@fettle/security';
import { judgeError, storedError } from './judge-error.js';

const secret = 'correct horse battery';
const redactions = new RedactionSet([{ name: 's', value: secret }]);
const mask = (text: string): string => redactions.redactText(text);

describe('errors as they are stored', () => {
  it('holds no secret, not even the half that a cut at the limit would leave', () => {
    const message = `${'x'.repeat(1990)}${secret} and ${secret}`;
    for (const error of [new Error(message), new FettleError({ code: 'c', message, remedy: `say ${secret}` })]) {
      const stored = storedError(error, mask);
      expect(JSON.stringify(stored)).not.toContain('correct');
      expect(stored.message).toContain('x***');
    }
  });

  it('masks in every judgement', () => {
    const error = new FettleError({ code: 'host-unreachable', message: secret, detail: { mayHaveStarted: false } });
    expect(judgeError(error, 'mutating', true, mask)).toEqual({
      state: 'unreachable',
      error: { code: 'host-unreachable', message: '***' },
    });
  });

  it('takes no host for unreachable that may have run the command', () => {
    const lost = (mayHaveStarted: boolean): FettleError =>
      new FettleError({ code: 'remote-shell-unusable', message: 'm', detail: { mayHaveStarted } });
    expect(judgeError(lost(true), 'mutating', true).state).toBe('unknown');
    expect(judgeError(lost(true), 'read-only', true).state).toBe('failed');
    expect(judgeError(lost(false), 'mutating', true).state).toBe('unreachable');
  });

  it('keeps what Postgres can store', () => {
    expect(storedError(new Error('a\0b\ud800')).message).toBe('a\uFFFDb\uFFFD');
  });
});
