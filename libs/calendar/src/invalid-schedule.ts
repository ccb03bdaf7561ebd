import { FettleError } from '@fettle/contracts';

/** The one error of expressions; `column` counts from 1. */
export function invalidSchedule(message: string, column: number, text: string, suggestion?: string): FettleError {
  return new FettleError({
    code: 'invalid-schedule',
    message: `cron expression, column ${column}: ${message}`,
    remedy: suggestion ?? 'Mend the expression; "30 2 * * 1-5" means 02:30 from Monday to Friday.',
    position: { line: 1, column },
    detail: { text: text.slice(0, 120) },
  });
}
