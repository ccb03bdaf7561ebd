import { zoneOffsets } from './zone-offsets.js';

const DAY = 86_400;
export const FROM_YEAR = 2018;
export const TO_YEAR = 2028;

export interface ChangingZone {
  readonly zone: string;
  /** UTC days (seconds since 1970) in which the clock is moved. */
  readonly days: readonly number[];
}

/** One zone for each distinct history of its clock in the ten years: those left out move theirs at the same instants by as much. */
export function distinctZones(): ChangingZone[] {
  const found = new Map<string, ChangingZone>();
  const start = Date.UTC(FROM_YEAR, 0, 1) / 1000;
  const end = Date.UTC(TO_YEAR, 0, 1) / 1000;
  for (const zone of [...Intl.supportedValuesOf('timeZone'), 'UTC']) {
    const offset = zoneOffsets(zone);
    const days: number[] = [];
    const history: number[] = [offset(start)];
    // Changes are further apart than a week: Ramadan's are a month apart.
    for (let week = start; week < end; week += 7 * DAY) {
      if (offset(week) === offset(week + 7 * DAY)) continue;
      for (let day = week; day < week + 7 * DAY; day += DAY) {
        if (offset(day) === offset(day + DAY)) continue;
        days.push(day);
        history.push(day, offset(day + DAY));
      }
    }
    const key = history.join();
    if (!found.has(key)) found.set(key, { zone, days });
  }
  return [...found.values()];
}
