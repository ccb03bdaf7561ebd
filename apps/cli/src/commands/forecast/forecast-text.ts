import { afterText, type Forecast, type ForecastRun } from '@fettle/contracts';
import type { Output } from '../../output/output.js';
import { duration, neutralise, plural } from '../../output/text.js';
import { inZone } from '../schedule/fire-text.js';

const dstNotes: Readonly<Record<string, string>> = {
  'gap-shifted': 'shifted: the clock skips the hour',
  'overlap-first': 'the hour comes twice: the first',
  'overlap-last': 'the hour comes twice: the second',
};

/** The coming runs as a table, then what a person should look at, then what starts nothing and what was not looked at. */
export function forecastText(output: Output, forecast: Forecast, zone: string, showsAll = false): string {
  const { asset, runs, idle, limits, space } = forecast;
  const { colours } = output;
  const range = `${day(forecast.from, zone)} to ${day(forecast.to, zone)}`;
  const head = `${asset === null ? `Space ${space}` : `Asset ${asset}`}, ${range}: ${plural(runs.length, 'run')}, ${plural(concerning(runs).length, 'finding')}`;
  const table =
    runs.length === 0
      ? 'Nothing is due.\n'
      : output.table(showsAll ? runs.map((run) => ({ ...run, more: '' })) : shortened(runs, zone), [
          { title: `WHEN (${zone})`, value: (run) => weekday(run.at, zone) },
          { title: 'SCHEDULE', value: (run) => run.schedule },
          { title: 'RUNBOOK', value: (run) => run.runbook },
          { title: 'OUTCOME', value: outcomeText, paint: (cell, run) => painted(colours, cell, run) },
          { title: 'TAKES', value: durationText },
          { title: 'ASSETS', value: assetsText },
          { title: 'NOTE', value: (run) => noteText(run, zone) },
        ]);
  const findings = findingLines(runs, zone);
  const parts = [
    colours.bold(`${head}\n`) + table,
    section(colours.bold, 'To look at:', findings),
    section(
      colours.bold,
      'Starts nothing:',
      idle
        .filter(({ state }) => asset === null || state !== 'not-due')
        .map(({ schedule, state, reason, instants }) => {
          const count = instants === null || instants === 0 ? '' : ` (${plural(instants, 'instant')} in these days)`;
          return `${schedule}: ${state === 'quarantined' ? 'quarantined: ' : ''}${reason}${count}`;
        }),
    ),
    section(colours.bold, 'Not looked at:', limits),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

/** Runs of one schedule that a table shows; of one that is due by the minute the others are told of in a line. */
const MAX_ROWS_EACH = 15;

function shortened(runs: readonly ForecastRun[], zone: string): (ForecastRun & { more: string })[] {
  const seen = new Map<string, ForecastRun[]>();
  for (const run of runs) {
    const own = seen.get(run.schedule) ?? [];
    seen.set(run.schedule, own);
    own.push(run);
  }
  return runs.flatMap((run) => {
    const own = seen.get(run.schedule) ?? [];
    if (own.length <= MAX_ROWS_EACH) return [{ ...run, more: '' }];
    if (run !== own[0]) return [];
    return [{ ...run, more: `and ${own.length - 1} more until ${weekday(own.at(-1)?.at ?? run.at, zone)} (--all)` }];
  });
}

function section(bold: (text: string) => string, title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `${bold(title)}\n${lines.map((line) => `  ${neutralise(line)}\n`).join('')}`;
}

function concerning(runs: readonly ForecastRun[]): readonly unknown[] {
  return runs.flatMap(({ findings }) => findings);
}

/** One line for each kind of thing that a schedule meets; the same at later instants is counted, not repeated. */
function findingLines(runs: readonly ForecastRun[], zone: string): string[] {
  const groups = new Map<string, { text: string; count: number }>();
  for (const run of runs) {
    for (const { kind, message, with: other, key, calendar } of run.findings) {
      const who = other === null ? '' : 'schedule' in other ? other.schedule : other.runId;
      const group = [run.schedule, kind, who, key ?? '', calendar ?? ''].join(' ');
      const known = groups.get(group);
      if (known) known.count += 1;
      else groups.set(group, { text: `${run.schedule}, ${weekday(run.at, zone)}: ${message}`, count: 1 });
    }
  }
  return [...groups.values()].map(({ text, count }) => (count === 1 ? text : `${text} (and ${count - 1} more times)`));
}

function outcomeText({ outcome, findings }: ForecastRun): string {
  return findings.length === 0 ? outcome : `${outcome} !`;
}

function painted(colours: Output['colours'], cell: string, { outcome, findings }: ForecastRun): string {
  if (outcome === 'refused' || outcome === 'skipped') return colours.red(cell);
  return findings.length > 0 || outcome !== 'starts' ? colours.yellow(cell) : cell;
}

/** `12 min (90 %: 20 min)`. */
function durationText({ duration: of }: ForecastRun): string {
  if (of.medianMs === null || of.p90Ms === null) return 'no history';
  const [median, most] = [short(of.medianMs), short(of.p90Ms)];
  return median === most ? median : `${median} (90 %: ${most})`;
}

/** One unit is enough for what is expected. */
function short(ms: number): string {
  if (ms < 60_000) return ms < 10_000 ? duration(ms) : `${Math.round(ms / 1000)} s`;
  if (ms < 600_000) return `${Math.round(ms / 6000) / 10} min`;
  return ms < 5_400_000 ? `${Math.round(ms / 60_000)} min` : duration(ms);
}

function assetsText({ targets }: ForecastRun): string {
  if (targets === null) return 'none';
  const { count, names, more, undetermined } = targets;
  if (count === 0) return '0';
  const rest = count - names.length;
  const all = `${count}${more ? '+' : ''}: ${names.slice(0, 3).join(', ')}${count > 3 ? `, +${rest + Math.max(0, names.length - 3)}` : ''}`;
  return undetermined === 0 ? all : `${all} (${undetermined} undetermined)`;
}

/** The schedule's own clock where it is another than the reader's, and what a change of clocks did. */
function noteText({ local, timeZone, note, after, more }: ForecastRun & { more: string }, zone: string): string {
  const clock = timeZone === zone ? '' : `${local.slice(0, 10)} ${local.slice(11, 16)} ${timeZone}`;
  const follows = after === null ? '' : `expected ${afterText(after)}`;
  return [clock, dstNotes[note] ?? note, follows, more].filter((text) => text !== '').join('; ');
}

function day(at: string, zone: string): string {
  return inZone(at, zone).slice(0, 16);
}

/** `Mon 2026-11-23 02:30`, with seconds where there are any. */
function weekday(at: string, zone: string): string {
  const name = new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: 'short' }).format(new Date(at));
  const text = inZone(at, zone).slice(0, 19);
  return `${name} ${text.endsWith(':00') ? text.slice(0, 16) : text}`;
}
