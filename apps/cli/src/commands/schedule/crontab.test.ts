import { describe, expect, it } from '@jest/globals';
import { nextInstants, scheduleRecurrence } from '@fettle/calendar';
import { runbookDocumentSchema, scheduleDocumentSchema } from '@fettle/contracts';
import { documentsOfCrontab, type ImportedCrontab } from './crontab-documents.js';
import { parseCrontab } from './crontab.js';

const options = { zone: 'Europe/Berlin', on: 'asset.name == "web-01"', space: 'default', prefix: 'cron' };

function imported(text: string, isSystem = false, more: { readonly user?: string } = {}): ImportedCrontab {
  return documentsOfCrontab(parseCrontab(text, isSystem), { ...options, ...more });
}

describe('a crontab', () => {
  it('becomes runbooks and schedules, each line accounted for', () => {
    const text = [
      '# nightly',
      'SHELL=/bin/bash',
      'PATH = "/usr/bin:/bin"',
      '',
      '30 2 * * 1-5 /usr/local/bin/backup.sh --date=$(date +\\%F)',
      '@reboot /opt/boot',
      'not a line',
      '@daily renew',
    ].join('\n');
    const { documents, lines } = imported(`${text}\n`, false, { user: 'olga' });
    expect(lines.map(({ line, became, name }) => [line, became, name])).toEqual([
      [1, 'comment', null],
      [2, 'environment', null],
      [3, 'environment', null],
      [4, 'blank', null],
      [5, 'schedule', 'cron-backup-sh'],
      [6, 'runbook without schedule', 'cron-boot'],
      [7, 'not imported', null],
      [8, 'schedule', 'cron-renew'],
    ]);
    expect(lines[5]?.notes.join()).toContain('@reboot has no time');
    expect(documents.map(({ kind }) => kind)).toEqual(['Runbook', 'Schedule', 'Runbook', 'Runbook', 'Schedule']);
    const runbook = runbookDocumentSchema.parse(documents[0]);
    expect(runbook.spec.steps).toEqual([
      expect.objectContaining({
        with: {
          argv: ['/bin/bash', '-c', '/usr/local/bin/backup.sh --date=$(date +%F)'],
          environment: { PATH: '/usr/bin:/bin' },
          become: { user: 'olga' },
        },
      }),
    ]);
    expect(scheduleDocumentSchema.parse(documents[1]).spec).toMatchObject({
      runbook: 'cron-backup-sh',
      cron: '30 2 * * 1-5',
      timeZone: 'Europe/Berlin',
      overlap: 'allow',
    });
  });

  it('names a user in the system form, and gives what follows % to standard input', () => {
    const { documents, lines } = imported('0 9 1 * *\tolga  mail -s report boss%Dear boss,%%well \\% done', true);
    expect(runbookDocumentSchema.parse(documents[0]).spec.steps).toEqual([
      expect.objectContaining({
        with: {
          argv: ['/bin/sh', '-c', 'mail -s report boss'],
          standardInput: 'Dear boss,\n\nwell % done\n',
          become: { user: 'olga' },
        },
      }),
    ]);
    expect(lines[0]?.notes.join()).toContain('standard input');
  });

  it('follows CRON_TZ from its line on', () => {
    const { documents } = imported('0 5 * * * a\nCRON_TZ=America/New_York\n0 5 * * * b\nCRON_TZ=Mars/X\n');
    const zones = documents
      .filter(({ kind }) => kind === 'Schedule')
      .map((one) => scheduleDocumentSchema.parse(one).spec.timeZone);
    expect(zones).toEqual(['Europe/Berlin', 'America/New_York']);
  });

  it('wants both day fields where one begins with *, as cron does', () => {
    const { documents } = imported('0 3 */2 * 1 a');
    const { spec } = scheduleDocumentSchema.parse(documents[1]);
    const recurrence = scheduleRecurrence(spec, '');
    const found = nextInstants({ ...recurrence, after: '2026-06-01T12:00:00Z', count: 3 }).map(({ local }) =>
      local.slice(0, 10),
    );
    // Mondays that are odd days: 15 and 29 June, 13 July.
    expect(found).toEqual(['2026-06-15', '2026-06-29', '2026-07-13']);
  });

  it('keeps secrets out of documents and report, and refuses what would be read as an expression', () => {
    const result = imported('DB_PASSWORD=geheim\n0 5 * * * echo ${{ x }}\n61 * * * * x\n');
    expect(JSON.stringify(result)).not.toContain('geheim');
    expect(result.documents).toEqual([]);
    expect(result.lines.map(({ became }) => became)).toEqual(['not imported', 'not imported', 'not imported']);
    expect(result.lines[2]?.notes.join()).toContain('minute 61');
  });
});
