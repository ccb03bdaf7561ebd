import { CronExpressionParser } from 'cron-parser';

/**
 * Values of the six fields (seconds first) as cron-parser reads them: ascending, Sunday 0 or 7; null where it refuses the text. Only
 * text whose every item has been checked comes here: cron-parser also takes what has no one meaning ("MONTUE", "H"), and its refusals
 * name no place.
 */
export function cronParserValues(fields: readonly string[]): readonly (readonly number[])[] | null {
  let read;
  try {
    read = CronExpressionParser.parse(fields.join(' ')).fields;
  } catch {
    // Its errors have no type of their own, and what it cannot read our own reader can.
    return null;
  }
  const all = [read.second, read.minute, read.hour, read.dayOfMonth, read.month, read.dayOfWeek];
  return all.map((field) => field.values.map(Number));
}
