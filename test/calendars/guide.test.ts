import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { applyDocuments } from '@fettle/operations';
import { CliStack } from '../cli/cli-stack.js';

const guide = readFileSync(fileURLToPath(new URL('../../docs/how-to/maintenance-windows.md', import.meta.url)), 'utf8');

/** What the guide has people write and do, in its order. */
const blocks = [...guide.matchAll(/^```(yaml|sh)(?: (file|exit)=(\S+))?\n([\s\S]*?)^```$/gm)].map(
  ([, kind = '', , value = '', text = '']) => ({ kind, value, text }),
);

/** Half a year away, as the window that `closeNow` makes: what is asked about now is neither. */
const farMonth = ((new Date().getUTCMonth() + 6) % 12) + 1;
const HOLIDAYS = [
  'BEGIN:VCALENDAR',
  'BEGIN:VEVENT',
  'UID:founders',
  "SUMMARY:Founders' Day",
  `DTSTART;VALUE=DATE:2026${String(farMonth).padStart(2, '0')}25`,
  'RRULE:FREQ=YEARLY',
  'END:VEVENT',
  'END:VCALENDAR',
].join('\r\n');

/** The words of a line of shell that only quotes, and where its output goes. */
function wordsOf(line: string): { words: string[]; into: string | null } {
  const [command = '', into] = line.split(' > ');
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  return { words: words.slice(1), into: into?.trim() ?? null };
}

let cli: CliStack;

beforeAll(async () => {
  cli = await CliStack.start(2);
  await cli.write('holidays.ics', HOLIDAYS);
}, 120_000);

afterAll(async () => {
  await cli?.stop();
});

/** Window and freeze of the guide come when they come: for what is to be refused now, both are far away. */
async function closeNow(): Promise<void> {
  const source = readFileSync(join(cli.folder, 'prod-nights.yaml'), 'utf8')
    .replace('0 22 * * 2#2', `0 22 15 ${farMonth} *`)
    .replace('from: 2026-12-18, to: 2027-01-06', 'from: 2001-12-18, to: 2002-01-06');
  expect(source).toContain('2002-01-06');
  await cli.stack.inTransaction((context) => applyDocuments(context, { source }));
}

describe('the guide to maintenance windows', () => {
  it('does what it says, command by command', async () => {
    expect(blocks.filter(({ kind }) => kind === 'yaml').map(({ value }) => value)).toEqual([
      'prod-nights.yaml',
      'patch.yaml',
      'freeze.yaml',
    ]);
    const told = new Map<string, string>();
    for (const { kind, value, text } of blocks) {
      if (kind === 'yaml') {
        await cli.write(value, text);
        continue;
      }
      for (const line of text.trim().split('\n')) {
        const { words, into } = wordsOf(line);
        const args = words.map((word) => (/\.(yaml|ics)$/.test(word) ? join(cli.folder, word) : word));
        const result = await cli.fettle(args);
        if (result.exitCode !== Number(value === '' ? 0 : value))
          throw new Error(`${line}: exit ${result.exitCode}\n${result.stdout}${result.stderr}`);
        if (into !== null) await cli.write(into, result.stdout);
        told.set(line, result.stdout + result.stderr);
        if (line === 'fettle apply -f patch.yaml') await closeNow();
      }
    }
    const said = (start: string): string =>
      [...told].find(([line]) => line.startsWith(start))?.[1] ?? `nobody did ${start}`;
    const shown = said('fettle calendar show prod-nights --from 2026-12-01 --to 2027-02-01');
    expect(shown).toMatch(/2026-12-08 22:00 Europe\/Berlin +2026-12-09 01:30 Europe\/Berlin +open +patch night/);
    expect(shown).toMatch(/2026-12-18 00:00 Europe\/Berlin +2027-01-07 00:00 Europe\/Berlin +freeze +year end/);
    expect(shown).toMatch(/2027-01-12 22:00 Europe\/Berlin .*open/);
    expect([...told].find(([line]) => line.endsWith('--site nyc'))?.[1]).toContain('2026-12-08 22:00 America/New_York');
    expect(said('fettle calendar status --asset host-000 --at')).toContain('open until 2027-01-13T00:30:00Z');
    expect(said('fettle calendar import-ical')).toContain('1 events: 1 holiday');
    expect(said('fettle plan patch')).toMatch(/calendar +closed: prod-nights \(outside of its windows\), opens /);
    expect(said('fettle run start patch')).toContain('The calendar "prod-nights" is closed');
    expect(said('fettle audit list')).toContain('calendar.override');
    const frozen = [...told].findLast(([line]) => line === 'fettle calendar status --asset host-000')?.[1];
    expect(frozen).toContain('closed: incident-freeze (freeze)');
  }, 180_000);

  it('leaves a run that waits, and that says so', async () => {
    const runs = await cli.json<{ id: string; state: string }[]>('run', 'list');
    const waiting = runs.find(({ state }) => state === 'running' || state === 'queued');
    expect(waiting).toBeDefined();
    const shown = await cli.fettle(['run', 'show', waiting?.id ?? '']);
    expect(shown.stdout).toMatch(/closed since .*its timeout stands still/);
    expect((await cli.fettle(['run', 'cancel', waiting?.id ?? '', '--follow'])).exitCode).toBe(0);
  }, 60_000);
});
