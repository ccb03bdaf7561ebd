import { describe, expect, it } from '@jest/globals';
import { actionContracts } from '../contracts.js';
import { mailMessageId } from './mail.js';
import { webhookId, webhookSignature } from './webhook.js';

describe('notify.webhook', () => {
  it('signs as the example of the specification of Standard Webhooks', () => {
    const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
    expect(webhookSignature(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, '{"test": 2432232314}')).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });

  it('has one id for a token, which does not tell the token', () => {
    const id = webhookId('0123456789abcdef0123456789abcdef');
    expect(id).toBe(webhookId('0123456789abcdef0123456789abcdef'));
    expect(id).not.toBe(webhookId('1123456789abcdef0123456789abcdef'));
    expect(id).not.toContain('0123456789');
    expect(mailMessageId('t', 'a@example.org')).toMatch(/^[0-9a-f]{40}@example\.org$/);
  });

  it.each([
    [{ type: 'run failed' }, /words apart by full stops/],
    [{ url: 'ftp://example.org/' }, /URL/],
    [{ secret: 'Not A Name' }, /lower-case/],
  ])('refuses %j', (changed, message) => {
    const input = { url: 'https://example.org/', secret: 'hooks', type: 'run.failed', ...changed };
    expect(JSON.stringify(actionContracts['notify.webhook'].input.safeParse(input).error?.issues)).toMatch(message);
  });
});

describe('notify.mail', () => {
  const input = { to: ['a@example.org'], from: 'b@example.org', subject: 's', text: '', server: { host: 'mx' } };

  it('shows where it goes, and takes no address that could be another header', () => {
    const contract = actionContracts['notify.mail'];
    const { input: schema } = contract;
    expect(contract.render(schema.parse(input), { assetId: '', name: '' }).calls).toEqual([
      { method: 'MAIL', url: 'smtp://mx:587' },
    ]);
    for (const to of [
      'a@example.org\r\nBcc: c@example.org',
      'a b@example.org',
      '<a@example.org>',
      'a@',
      'ä@example.org',
    ])
      expect(schema.safeParse({ ...input, to: [to] }).success).toBe(false);
  });
});
