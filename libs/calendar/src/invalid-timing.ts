import { FettleError } from '@fettle/contracts';

/** What of a schedule's timing cannot be meant. */
export function invalidTiming(message: string): FettleError {
  return new FettleError({
    code: 'invalid-schedule',
    message,
    remedy: 'See "Schedules" in the reference for what each field takes.',
  });
}
