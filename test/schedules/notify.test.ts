// Whom a schedule tells what became of it, with a worker that sends and a receiver that verifies.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { applyDocuments, readScheduleNotifications, settleFire } from '@fettle/operations';
import { SmtpServer } from '../support/smtp-server.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { isAuthentic, Receiver, type Hook } from '../support/webhook-receiver.js';

const MINUTE_MS = 60_000;

describe('notifications of schedules', () => {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const login = { user: 'fettle', password: `mail-${randomBytes(9).toString('hex')}` };
  let stack: TestStack;
  let worker: WorkerProcess;
  let receiver: Receiver;
  let smtp: SmtpServer;

  beforeAll(async () => {
    [stack, receiver, smtp] = await Promise.all([TestStack.create(), Receiver.start(), SmtpServer.start({ login })]);
    await stack.addCredential('hooks', 'token', secret);
    await stack.addCredential('mail', 'password', login.password);
    await stack.addRunbook('call', {
      steps: [{ id: 'a', uses: 'http.request', with: { url: receiver.url('/step') } }],
    });
    await stack.addRunbook('nowhere', {
      targets: 'asset.kind == "server"',
      steps: [{ id: 'a', uses: 'ssh.run', with: { argv: ['true'] } }],
    });
    worker = await stack.startWorker();
  }, 120_000);
  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
    receiver?.stop();
    await smtp?.stop();
  });

  const hook = (path: string, ...on: string[]): string =>
    JSON.stringify({ on, uses: 'notify.webhook', with: { url: receiver.url(path), secret: 'hooks' } });

  /** A schedule whose only instant was so many minutes ago, settled as if it had been applied before. */
  async function due(name: string, runbook: string, minutesAgo: number, spec: string): Promise<string> {
    const at = new Date(Math.floor(Date.now() / 1000) * 1000 - minutesAgo * MINUTE_MS);
    await apply(name, `{runbook: ${runbook}, at: "${at.toISOString().replace('.000', '')}", ${spec}}`);
    await stack.dataSource.query(`UPDATE schedule SET watermark = $2 WHERE name = $1`, [
      name,
      new Date(at.getTime() - 1000),
    ]);
    const [row]: { id: string }[] = await stack.dataSource.query(`SELECT id FROM schedule WHERE name = $1`, [name]);
    await stack.dataSource.transaction((transaction) => settleFire(transaction, row!.id, new Date()));
    return at.toISOString();
  }

  const apply = (name: string, spec: string): Promise<unknown> => {
    const source = `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
    return stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml' }));
  };

  async function hooksAt(path: string, count: number): Promise<readonly Hook[]> {
    const giveUpAtMs = Date.now() + 60_000;
    while (receiver.at(path).length < count) {
      if (Date.now() > giveUpAtMs) throw new Error(`${path}: ${JSON.stringify(await known())}`);
      await sleep(100);
    }
    return receiver.at(path);
  }

  /** For whoever looks for what is missing. */
  const known = async (): Promise<unknown> => [
    await stack.dataSource.query(`SELECT name, quarantine_reason, watermark, notify FROM schedule`),
    await stack.dataSource.query(`SELECT nominal_at, outcome, code, reason, run_id FROM fire`),
    await stack.dataSource.query(`SELECT state, attempts, outcome, last_error, news FROM schedule_notification`),
  ];
  const told = (name: string) => readScheduleNotifications(stack.dataSource.manager, { space: 'default', name });

  async function settledItems(name: string, count: number) {
    const giveUpAtMs = Date.now() + 60_000;
    for (;;) {
      const { items } = await told(name);
      if (items.length >= count && items.every(({ outcome }) => outcome !== null)) return items;
      if (Date.now() > giveUpAtMs) throw new Error(JSON.stringify(items));
      await sleep(100);
    }
  }

  it('tell that a deadline cannot be met any more, with the run, under a signature that verifies', async () => {
    const notify = `notify: [${hook('/late', 'deadline-missed')}, ${hook('/never', 'refused', 'quarantined', 'missed')}]`;
    const nominalAt = await due('late', 'call', 10, `catchUp: 1h, mustStartBy: 5m, ${notify}`);
    const [news] = await hooksAt('/late', 1);
    const [{ run_id: runId }]: [{ run_id: string }] = await stack.dataSource.query(
      `SELECT f.run_id FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name = 'late'`,
    );
    expect(news!.body).toMatchObject({
      type: 'schedule.deadline-missed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
      data: {
        schedule: { space: 'default', name: 'late' },
        state: 'deadline-missed',
        deadline: 'start',
        nominalAt,
        dueAt: new Date(Date.parse(nominalAt) + 5 * MINUTE_MS).toISOString(),
        runId,
        reason: expect.stringContaining('it must have started by') as unknown,
      },
    });
    expect(news!.id).toMatch(/^msg_[A-Za-z0-9_-]{27}$/);
    expect(isAuthentic(news!, secret)).toBe(true);
    expect(isAuthentic({ ...news!, text: `${news!.text} ` }, secret)).toBe(false);
    expect(await settledItems('late', 1)).toEqual([
      expect.objectContaining({ state: 'deadline-missed', item: 0, outcome: 'sent', nextAt: null, error: null }),
    ]);
    expect(receiver.at('/never')).toEqual([]);
    expect(receiver.at('/late')).toHaveLength(1);
  }, 120_000);

  it('tell of what was missed and of what could not start, again under the same id where the receiver fails', async () => {
    receiver.refusals.set('/again', 1);
    const missedAt = await due('missing', 'call', 90, `catchUp: 10m, notify: [${hook('/again', 'missed')}]`);
    await due('refusing', 'nowhere', 1, `catchUp: 1h, notify: [${hook('/refused', 'refused')}]`);
    const [refused] = await hooksAt('/refused', 1);
    expect(refused!.body).toMatchObject({
      type: 'schedule.refused',
      data: { schedule: { name: 'refusing' }, code: 'no-targets', instants: 1, source: 'nominal' },
    });
    const [first, second] = await hooksAt('/again', 2);
    expect(first!.body).toMatchObject({ type: 'schedule.missed', data: { nominalAt: missedAt, code: 'late' } });
    expect([second!.id, second!.text]).toEqual([first!.id, first!.text]);
    expect(await settledItems('missing', 1)).toEqual([expect.objectContaining({ outcome: 'sent', attempts: 2 })]);
  }, 120_000);

  it('go by mail, in the words of the document as it was, and give up where a receiver wants no more', async () => {
    const server = JSON.stringify({
      host: 'localhost',
      port: smtp.port,
      certificateAuthority: smtp.certificate,
      user: login.user,
      credential: 'mail',
    });
    const mail = `{on: [quarantined], uses: notify.mail, with: {to: [ops@example.org], from: fettle@example.org, server: ${server}}}`;
    const day = `${new Date().getUTCFullYear() + 2}-03-01`;
    const never = (notify: string): string =>
      `{runbook: call, at: ${day}T10:00, exclude: [{date: ${day}}], notify: [${notify}]}`;
    await apply('never', never(`${mail}, ${hook('/gone', 'quarantined')}`));
    // What has happened is told as it was said then.
    await apply('never', never(hook('/later', 'missed')));
    const items = await settledItems('never', 2);
    expect(items.map(({ state, uses, outcome, error }) => [state, uses, outcome, error?.code])).toEqual(
      expect.arrayContaining([
        ['quarantined', 'notify.mail', 'sent', undefined],
        ['quarantined', 'notify.webhook', 'failed', 'webhook-gone'],
      ]),
    );
    const [one] = smtp.mails;
    expect(one).toMatchObject({ to: ['ops@example.org'], from: 'fettle@example.org', isEncrypted: true });
    expect(one!.message).toMatch(/^Subject: Fettle: never is quarantined and starts nothing\r$/m);
    const text = Buffer.from(one!.message.split('\r\n\r\n')[1]!, 'base64').toString();
    expect(text).toContain('it is never due');
    expect(text).toContain('fettle schedule why never');
  }, 120_000);

  it('are refused where the document asks for what there is not', async () => {
    const wrong = [
      [`{on: [late], uses: notify.mail}`, /deadline-missed/],
      [`{on: [missed], uses: http.request, with: {url: "http://x/"}}`, /tells nobody/],
      [`{on: [missed], uses: notify.webhook, with: {url: "http://x/\${{ run.id }}", secret: hooks}}`, /no expressions/],
      [`{on: [missed], uses: notify.webhook, with: {url: "http://x/"}}`, /secret/],
    ] as const;
    for (const [notify, message] of wrong) {
      const error: unknown = await apply('wrong', `{runbook: call, every: 1h, notify: [${notify}]}`).catch(
        (reason: unknown) => reason,
      );
      expect(JSON.stringify([error, (error as Error).message])).toMatch(message);
    }
  });
});
