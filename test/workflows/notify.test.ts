import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SmtpServer } from '../support/smtp-server.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { isAuthentic, Receiver } from '../support/webhook-receiver.js';

async function eventually<Value>(
  look: () => Value | Promise<Value>,
  isThere: (value: Value) => boolean,
): Promise<Value> {
  const giveUpAtMs = Date.now() + 30_000;
  for (;;) {
    const value = await look();
    if (isThere(value)) return value;
    if (Date.now() > giveUpAtMs) throw new Error(`not there: ${JSON.stringify(value)}`);
    await sleep(100);
  }
}

describe('notifications', () => {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const older = `whsec_${randomBytes(24).toString('base64')}`;
  const login = { user: 'fettle', password: `mail-${randomBytes(9).toString('hex')}` };
  let stack: TestStack;
  let worker: WorkerProcess;
  let receiver: Receiver;
  let smtp: SmtpServer;

  beforeAll(async () => {
    [stack, receiver, smtp] = await Promise.all([TestStack.create(), Receiver.start(), SmtpServer.start({ login })]);
    await stack.addCredential('hooks', 'token', secret);
    await stack.addCredential('two-hooks', 'token', `${secret} ${older}`);
    await stack.addCredential('no-hook', 'token', 'not a secret of that kind');
    await stack.addCredential('mail', 'password', login.password);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
    receiver?.stop();
    await smtp?.stop();
  });

  const request = (path: string): Record<string, unknown> => ({
    id: 'call',
    uses: 'http.request',
    with: { url: receiver.url(path), method: 'POST', body: {}, effect: 'idempotent' },
  });
  const hook = (on: string[], path: string, credential = 'hooks'): Record<string, unknown> => ({
    on,
    uses: 'notify.webhook',
    with: { url: receiver.url(path), secret: credential },
  });
  const mailServer = (): Record<string, unknown> => ({
    host: 'localhost',
    port: smtp.port,
    certificateAuthority: smtp.certificate,
    user: login.user,
    credential: 'mail',
  });

  async function entriesOf(runId: string): Promise<{ kind: string; data: Record<string, unknown> }[]> {
    return stack.dataSource.query(
      `SELECT kind, data FROM entry WHERE run_id = $1 AND kind LIKE 'notification-%' ORDER BY seq`,
      [runId],
    );
  }

  it('tell of each state that is asked for, once, with a signature that verifies', async () => {
    await stack.addRunbook('told', {
      notify: [
        hook(['running', 'succeeded', 'failed'], '/all'),
        hook(['failed'], '/never'),
        hook(['succeeded'], '/both', 'two-hooks'),
        {
          on: ['succeeded'],
          uses: 'notify.webhook',
          with: {
            url: receiver.url('/own'),
            secret: 'hooks',
            type: 'patch.done',
            data: { text: '${{ run.runbook }} is ${{ run.state }}', count: '${{ run.targetCount }}' },
          },
        },
      ],
      steps: [request('/step')],
    });
    const run = await stack.ended((await stack.start('told')).id);
    expect(run.state).toBe('succeeded');
    const entries = await eventually(
      () => entriesOf(run.id),
      (all) => all.length >= 4,
    );
    expect(entries.map(({ kind }) => kind)).toEqual(Array.from({ length: 4 }, () => 'notification-sent'));
    expect(receiver.at('/all').map(({ body }) => body.type)).toEqual(['run.running', 'run.succeeded']);
    expect(receiver.at('/all')[1]!.body).toMatchObject({
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
      data: { run: { id: run.id, runbook: 'told', state: 'succeeded', requestedBy: 'tester', error: null } },
    });
    expect(receiver.at('/own')[0]!.body).toMatchObject({
      type: 'patch.done',
      data: { text: 'told is succeeded', count: 0 },
    });
    expect(receiver.at('/never')).toEqual([]);
    const hooks = receiver.hooks.filter(({ id }) => id !== '');
    expect(new Set(hooks.map(({ id }) => id)).size).toBe(4);
    for (const one of hooks) {
      expect(one.id).toMatch(/^msg_[A-Za-z0-9_-]{27}$/);
      expect(isAuthentic(one, secret)).toBe(true);
      expect(isAuthentic({ ...one, text: `${one.text} ` }, secret)).toBe(false);
    }
    expect(isAuthentic(receiver.at('/both')[0]!, older)).toBe(true);
    expect(isAuthentic(receiver.at('/all')[0]!, older)).toBe(false);
  }, 90_000);

  it('come again under the same id where the receiver fails, without holding up the run', async () => {
    receiver.refusals.set('/again', 1);
    await stack.addRunbook('tries', {
      notify: [hook(['succeeded'], '/silent'), hook(['succeeded'], '/gone'), hook(['succeeded'], '/again')],
      steps: [request('/step')],
    });
    const run = await stack.ended((await stack.start('tries')).id);
    const hooks = await eventually(
      () => receiver.at('/again'),
      (all) => all.length >= 2,
    );
    expect(hooks[1]!.id).toBe(hooks[0]!.id);
    expect(hooks[1]!.text).toBe(hooks[0]!.text);
    expect(hooks.every((one) => isAuthentic(one, secret))).toBe(true);
    const entries = await eventually(
      () => entriesOf(run.id),
      (all) => all.length >= 3,
    );
    expect(entries.map(({ kind, data }) => [kind, data['item'], data['attempts'], data['isLast']])).toEqual(
      expect.arrayContaining([
        ['notification-failed', 1, 1, true],
        ['notification-failed', 2, 1, false],
        ['notification-sent', 2, 2, undefined],
      ]),
    );
    expect(run.state).toBe('succeeded');
  }, 90_000);

  it('survive the worker that was to send them', async () => {
    await stack.addRunbook('told-later', { notify: [hook(['cancelled'], '/later')], steps: [request('/step')] });
    await worker.stop('SIGKILL');
    const run = await stack.start('told-later');
    // As whoever ends a run does it, while no worker is there.
    await stack.dataSource.query(`UPDATE run SET state = 'cancelled', ended_at = now() WHERE id = $1`, [run.id]);
    worker = await stack.startWorker();
    const [later] = await eventually(
      () => receiver.at('/later'),
      (all) => all.length > 0,
    );
    expect(later!.body).toMatchObject({ type: 'run.cancelled', data: { run: { id: run.id } } });
  }, 90_000);

  it('go by mail, with a login that stands nowhere', async () => {
    await stack.addRunbook('mailed', {
      inputs: { type: 'object', properties: { who: { type: 'string' } } },
      notify: [
        {
          on: ['failed'],
          uses: 'notify.mail',
          with: { to: ['${{ inputs.who }}@example.org'], from: 'fettle@example.org', server: mailServer() },
        },
      ],
      steps: [{ id: 'call', uses: 'http.request', with: { url: receiver.url('/gone') } }],
    });
    const run = await stack.ended((await stack.start('mailed', { inputs: { who: 'ops' } })).id);
    expect(run.state).toBe('failed');
    const [entry] = await eventually(
      () => entriesOf(run.id),
      (all) => all.length > 0,
    );
    expect(entry).toMatchObject({ kind: 'notification-sent', data: { uses: 'notify.mail', state: 'failed' } });
    const [mail] = smtp.mails;
    expect(mail).toMatchObject({ to: ['ops@example.org'], from: 'fettle@example.org', isEncrypted: true });
    expect(mail!.message).toMatch(/^Subject: Fettle: mailed failed\r$/m);
    const text = Buffer.from(mail!.message.split('\r\n\r\n')[1]!, 'base64').toString();
    expect(text).toContain(`fettle run show ${run.id}`);
    expect(text).toContain('status 410');
    const rows: { text: string }[] = await stack.dataSource.query(
      `SELECT to_jsonb(e)::text AS text FROM entry e UNION ALL SELECT to_jsonb(n)::text FROM notification n`,
    );
    expect(rows.map((row) => row.text).join('\n')).not.toContain(login.password.slice(4, 20));
  }, 90_000);

  it('are steps as well: a repeat of the step has the same id, and a wrong secret says so', async () => {
    receiver.refusals.set('/as-step', 1);
    const input = { url: receiver.url('/as-step'), secret: 'hooks', type: 'disk.cleaned', data: { freed: 5 } };
    await stack.addRunbook('notifies', {
      steps: [
        { id: 'tell', uses: 'notify.webhook', with: input, retry: { maxAttempts: 2, backoff: '100ms' } },
        {
          id: 'mail',
          uses: 'notify.mail',
          with: { to: ['a@example.org'], from: 'b@example.org', subject: 'x', text: 'y', server: mailServer() },
        },
        { id: 'wrong', uses: 'notify.webhook', with: { ...input, secret: 'no-hook' } },
      ],
    });
    const run = await stack.ended((await stack.start('notifies')).id);
    const hooks = receiver.at('/as-step');
    expect(hooks).toHaveLength(2);
    expect(hooks[1]!.id).toBe(hooks[0]!.id);
    expect(hooks[0]!.body).toMatchObject({ type: 'disk.cleaned', data: { freed: 5 } });
    expect(run.controlSteps.map(({ step, state }) => [step, state])).toEqual([
      ['tell', 'failed'],
      ['tell', 'succeeded'],
      ['mail', 'succeeded'],
      ['wrong', 'failed'],
    ]);
    expect(run.error).toMatchObject({ message: expect.stringContaining('is no signing secret') as unknown });
  }, 90_000);
});
