import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { checkSources, countErrors } from '../document/check-sources.js';
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

  it('takes in no secret that a command sets, and shows none', () => {
    const { documents, lines } = imported(
      [
        '0 1 * * * PGPASSWORD=hunter2 pg_dump -h db shop',
        "5 1 * * * cd /srv && API_TOKEN='a b' ./push",
        '6 1 * * * export DB_SECRET="x\\%y"; ./push',
        '10 1 * * * PGPASSWORD=$(cat /etc/pw) PGPASSFILE=/etc/pgpass TOKEN_FILE=/etc/token LANG=C pg_dump shop',
      ].join('\n'),
    );
    expect(lines.map(({ became, text }) => [became, text])).toEqual([
      ['not imported', '0 1 * * * PGPASSWORD=… pg_dump -h db shop'],
      ['not imported', '5 1 * * * cd /srv && API_TOKEN=… ./push'],
      ['not imported', '6 1 * * * export DB_SECRET=…'],
      ['schedule', expect.stringContaining('LANG=C')],
    ]);
    expect(lines[0]?.notes).toEqual([
      'the command has a value after PGPASSWORD: it looks like a secret, and documents hold none: make it a credential and name it in secretEnvironment of the steps, without it in the line',
    ]);
    expect(documents).toHaveLength(2);
    expect(JSON.stringify([documents, lines])).not.toMatch(/hunter2|a b|x\\*%y/);
  });

  it('takes in no secret among the arguments of a command', () => {
    const { documents, lines } = imported(
      [
        '0 1 * * * backup --password=hunter2 --user=root',
        '1 1 * * * mysqldump -u root -phunter2 shop | gzip > /srv/shop.gz',
        '2 1 * * * curl -u olga:hunter2 https://example.org/ping',
        '3 1 * * * push https://olga:hunter2@example.org/repo.git',
        '4 1 * * * sync --api-key hunter2x /srv',
        '4 1 * * * sshpass -p hunter2 ssh -p 22 host true',
        '4 1 * * * sshpass -v -phunter2 ssh host true',
        '4 1 * * * curl -H "Authorization: Bearer hunter2" -H "Accept: text/html" https://example.org/ping',
        "4 1 * * * curl --header='X-Api-Key: hunter2' https://example.org/ping",
        '4 1 * * * sync -password hunter2',
        '5 1 * * * sshpass -f /etc/pw ssh -p 22 host true; curl -H "Authorization: Bearer $TOKEN" -H "Accept: a" http://a/; sync --ask-password x',
        '5 1 * * * ssh -p2222 host true; mkdir -p /srv/a; sync --password-file=/etc/pw --token="$TOKEN" --no-password -v',
        'BACKUP_URL=ftp://olga:hunter2@example.org/',
      ].join('\n'),
    );
    expect(lines.map(({ became, text }) => [became, text])).toEqual([
      ['not imported', '0 1 * * * backup --password=… --user=root'],
      ['not imported', '1 1 * * * mysqldump -u root -p… shop | gzip > /srv/shop.gz'],
      ['not imported', '2 1 * * * curl -u olga:… https://example.org/ping'],
      ['not imported', '3 1 * * * push https://olga:…@example.org/repo.git'],
      ['not imported', '4 1 * * * sync --api-key … /srv'],
      ['not imported', '4 1 * * * sshpass -p … ssh -p 22 host true'],
      ['not imported', '4 1 * * * sshpass -v -p… ssh host true'],
      ['not imported', '4 1 * * * curl -H "Authorization: Bearer …" -H "Accept: text/html" https://example.org/ping'],
      ['not imported', "4 1 * * * curl --header='X-Api-Key: …' https://example.org/ping"],
      ['not imported', '4 1 * * * sync -password …'],
      ['schedule', expect.stringContaining('sshpass -f')],
      ['schedule', expect.stringContaining('ssh -p2222')],
      ['not imported', 'BACKUP_URL=…'],
    ]);
    expect(lines[0]?.notes[0]).toMatch(/^the command has a value after --password: it looks like a secret/);
    expect(lines[4]?.notes[0]).toMatch(/^the command has a value after --api-key: /);
    for (const { became, notes } of lines) if (became === 'schedule') expect(notes).toEqual([]);
    expect(JSON.stringify([documents, lines])).not.toMatch(/hunter2/);
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

  it('says what variables mean to the daemon, and that nothing in a value is replaced', () => {
    const { lines, documents } = imported('MAILTO=ops\nLOGNAME=x\nRANDOM_DELAY=30\nPATH=$HOME/bin\n0 5 * * * a\n');
    expect(lines.slice(0, 4).map(({ became }) => became)).toEqual(Array(4).fill('environment'));
    expect(lines.map(({ notes }) => notes.join())).toEqual([
      expect.stringMatching(/nothing is mailed/),
      expect.stringMatching(/takes no other/),
      expect.stringMatching(/jitter/),
      expect.stringMatching(/replaces nothing/),
      '',
    ]);
    expect(runbookDocumentSchema.parse(documents[0]).spec.steps[0]).toMatchObject({
      with: { environment: { PATH: '$HOME/bin' } },
    });
  });

  it('follows a change of clocks as cron(8) does', () => {
    const specs = (text: string): unknown =>
      imported(text).documents.flatMap((one) => {
        const parsed = scheduleDocumentSchema.safeParse(one);
        return parsed.success ? [parsed.data.spec.dst] : [];
      });
    const wild = { gap: 'skip', overlap: 'both' };
    expect(specs('*/10 2 * * * a\n30 2 * * * b\n* */2 * * * c\n0 * */2 * 1 d\n@daily e\n')).toEqual([
      wild,
      undefined,
      undefined,
      wild,
      undefined,
    ]);
  });

  it('never gives two jobs one name', () => {
    const { documents } = imported('0 1 * * * a\n0 2 * * * a-3\n0 3 * * * a\n0 4 * * * ./a\n');
    const names = documents.flatMap(({ kind, metadata }) =>
      kind === 'Runbook' ? [(metadata as { name: string }).name] : [],
    );
    expect(new Set(names).size).toBe(4);
  });

  it('refuses what no document can hold, with the reason', () => {
    const cases = [
      ['0 5 * * * Rolf.M run', true],
      ['0 5 * * * a\0b', false],
      ['0 5 * * * \ud800', false],
      ['0~59 * * * * a', false],
      ['0 5 31 2 * a', false],
      ['@every_minute a', false],
      ['0 5 * * * %only input', false],
      ['0 5 * * *', false],
      ['A"B=1', false],
      ['22-2 * * * * a', false],
    ] as const;
    for (const [line, isSystem] of cases) {
      const { documents, lines } = imported(line, isSystem);
      expect({ line, documents, became: lines[0]?.became }).toEqual({ line, documents: [], became: 'not imported' });
      expect(lines[0]?.notes[0]).toMatch(/.{10}/);
    }
  });

  it('accounts for every line of any file, and prints only documents that are valid (property)', () => {
    const field = fc.constantFrom(
      '*',
      '*/5',
      '0',
      '1-5',
      '7',
      '61',
      'MON-FRI',
      'jan',
      '1,15',
      '*/0',
      'L',
      '?',
      '-',
      '5-1',
      '1-31',
    );
    const word = fc.oneof(
      fc.constantFrom('%', '\\%', '${{ x }}', '$(date)', '#', '=', '"', '\\', 'root', 'a', '/bin/ls', '--x=1', '\t'),
      fc.string({ unit: 'binary', maxLength: 12 }),
    );
    const job = fc
      .tuple(fc.boolean(), fc.array(field, { minLength: 3, maxLength: 6 }), fc.array(word, { maxLength: 6 }))
      .map(([isQuiet, fields, words]) => `${isQuiet ? '-' : ''}${fields.join(' ')} ${words.join(' ')}`);
    const line = fc.oneof(
      { weight: 3, arbitrary: job },
      fc.tuple(fc.constantFrom('@daily', '@reboot', '@hourly', '@never'), word).map((parts) => parts.join(' ')),
      fc
        .tuple(fc.constantFrom('SHELL', 'HOME', 'A_1', '"B C"', 'CRON_TZ', 'MAILTO', '1X', 'API_KEY', 'TZ'), word)
        .map((parts) => parts.join('=')),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('', '  # x', '\t'),
    );
    const [special] = imported('* * L * */5 true\n0 3 LW * */2 true\n0 3 */2 * 1#2 true\n', false).lines;
    expect(special).toMatchObject({ became: 'not imported', notes: [expect.stringContaining('no L, W or #')] });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (written, isSystem) => {
        const text = `${written.join('\n')}\n`;
        const { documents, lines } = imported(text, isSystem);
        const count = text.split(/\r?\n/).length - 1;
        expect(lines.map((one) => one.line)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
        for (const { became, notes } of lines) if (became === 'not imported') expect(notes.join()).not.toBe('');
        const jobs = lines.filter(({ name }) => name !== null);
        expect(documents.filter(({ kind }) => kind === 'Runbook')).toHaveLength(jobs.length);
        if (documents.length === 0) return;
        const source = documents.map((document) => `---\n${stringify(document, { lineWidth: 0 })}`).join('');
        const { findings, documents: read } = checkSources([{ file: 'c.yaml', text: source }]);
        expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
        expect(countErrors(findings)).toBe(0);
        expect(read).toHaveLength(documents.length);
      }),
      { numRuns: 150 },
    );
  });
});
