import type { Column } from '../../output/table.js';
import { duration } from '../../output/text.js';

/** An instant at which a schedule is due. */
export interface Fire {
  /** UTC. */
  readonly at: string;
  /** With the clock of the schedule's zone. */
  readonly local: string;
  readonly note: string;
}

/** The zone of whoever reads: TZ, else the machine's. */
export function readerZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** `2026-11-23 02:30:00 CET` of a zone. */
export function inZone(at: string, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  }).formatToParts(new Date(at));
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.find((one) => one.type === type)?.value ?? '';
  const day = `${part('year')}-${part('month')}-${part('day')}`;
  return `${day} ${part('hour')}:${part('minute')}:${part('second')} ${part('timeZoneName')}`;
}

const notes: Readonly<Record<string, string>> = {
  'gap-shifted': 'the clock skips the hour: shifted',
  'overlap-first': 'the hour comes twice: the first',
  'overlap-last': 'the hour comes twice: the second',
  'gap-skipped': 'skipped: the clock leaves it out',
  'gap-merged': 'skipped: shifted onto another fire',
  'overlap-skipped': 'skipped: the other of two',
  excluded: 'skipped: excluded',
};

export function fireColumns<One extends Fire>(scheduleZone: string, zone: string, now: Date): Column<One>[] {
  return [
    { title: `IN ${scheduleZone}`, value: (fire) => inZone(fire.at, scheduleZone) },
    { title: `FOR YOU (${zone})`, value: (fire) => inZone(fire.at, zone) },
    { title: 'UTC', value: (fire) => fire.at },
    { title: 'IN', value: (fire) => untilText(fire.at, now) },
    { title: 'NOTE', value: (fire) => notes[fire.note] ?? fire.note },
  ];
}

export function untilText(at: string, now: Date): string {
  const ms = Date.parse(at) - now.getTime();
  return ms <= 0 ? 'now' : duration(Math.max(1000, ms)).replace(/\.\d s$/, ' s');
}
