import fc from 'fast-check';

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

function field(min: number, max: number, names?: readonly string[]): fc.Arbitrary<string> {
  const value = fc.integer({ min, max });
  const written = names
    ? value.chain((one) => fc.constantFrom(String(one), names[one - min] ?? ''))
    : value.map(String);
  const range = fc
    .tuple(value, value)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  return fc.oneof(
    { weight: 3, arbitrary: written },
    range.map(([a, b]) => `${a}-${b}`),
    range.filter(([a, b]) => b - a >= 2).map(([a, b]) => `${a}-${b}/2`),
    fc.integer({ min: 2, max: Math.max(2, Math.floor((max - min) / 2)) }).map((step) => `*/${step}`),
    fc.uniqueArray(value, { minLength: 2, maxLength: 4 }).map((values) => values.join(',')),
  );
}

const any = fc.constant('*');
const minute = fc.oneof({ weight: 4, arbitrary: field(0, 59) }, { weight: 1, arbitrary: any });
const hour = fc.oneof(
  { weight: 4, arbitrary: field(0, 23) },
  any,
  fc.constantFrom('2', '1-3', '0', '23', '*/2', '0,2,3'),
);
const month = fc.oneof({ weight: 4, arbitrary: any }, field(1, 12, MONTHS));
const dayOfMonth = fc.oneof({ weight: 2, arbitrary: any }, field(1, 28));
const dayOfWeek = fc.oneof({ weight: 2, arbitrary: any }, field(0, 6, DAYS));

/** Cron text in the syntax that Fettle, croniter and robfig/cron share. */
export const commonCron: fc.Arbitrary<string> = fc
  .tuple(minute, hour, dayOfMonth, month, dayOfWeek)
  .map((fields) => fields.join(' '));

/** With seconds first; few instants a day. */
export const secondsCron: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom('30', '0,15', '*/20'), fc.integer({ min: 0, max: 59 }), hour, dayOfMonth, month, dayOfWeek)
  .map((fields) => fields.join(' '));

/** `L` and `#` as croniter writes them, beside how Fettle does. robfig/cron knows neither. */
export const specialCron: fc.Arbitrary<{ readonly ours: string; readonly croniter: string }> = fc
  .tuple(
    fc.integer({ min: 0, max: 59 }),
    fc.integer({ min: 0, max: 23 }),
    fc.oneof(
      fc.constant({ ours: 'L * *', croniter: 'L * *' }),
      fc.integer({ min: 0, max: 6 }).map((day) => ({ ours: `* * ${day}L`, croniter: `* * L${day}` })),
      fc
        .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 5 }))
        .map(([day, nth]) => ({ ours: `* * ${day}#${nth}`, croniter: `* * ${day}#${nth}` })),
    ),
  )
  .map(([m, h, days]) => ({ ours: `${m} ${h} ${days.ours}`, croniter: `${m} ${h} ${days.croniter}` }));

const list = (min: number, max: number, most: number): fc.Arbitrary<string> =>
  fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: most }).map((values) => values.join(','));
const WEEKDAYS = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];
const weekdays = fc
  .uniqueArray(fc.constantFrom(...WEEKDAYS), { minLength: 1, maxLength: 3 })
  .map((days) => days.join(','));
const counted = fc
  .tuple(fc.constantFrom(-2, -1, 1, 2, 3, 4, 5), fc.constantFrom(...WEEKDAYS))
  .map(([nth, day]) => `${nth}${day}`);
const maybe = (name: string, value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.option(value, { freq: 2, nil: '' }).map((text) => (text === '' ? '' : `;${name}=${text}`));
const time = fc.tuple(list(0, 23, 2), list(0, 59, 2)).map(([hours, minutes]) => `;BYHOUR=${hours};BYMINUTE=${minutes}`);
const interval = fc.constantFrom('', '', ';INTERVAL=2', ';INTERVAL=3', ';INTERVAL=5');
const position = fc.constantFrom('', '', ';BYSETPOS=1', ';BYSETPOS=-1', ';BYSETPOS=2,-2');
const weekStart = fc.constantFrom('', ';WKST=SU', ';WKST=MO', ';WKST=TH');

/** Rules that Fettle and python-dateutil both take. */
export const commonRule: fc.Arbitrary<string> = fc
  .oneof(
    fc.tuple(fc.constant('FREQ=DAILY'), interval, maybe('BYMONTH', list(1, 12, 4)), maybe('BYDAY', weekdays), time),
    fc.tuple(
      fc.constant('FREQ=WEEKLY'),
      interval,
      weekStart,
      fc.oneof(
        weekdays.map((days) => `;BYDAY=${days}`),
        fc.constant(''),
      ),
      time,
    ),
    fc.tuple(
      fc.constant('FREQ=MONTHLY'),
      interval,
      fc.oneof(counted, weekdays).map((days) => `;BYDAY=${days}`),
      position,
      time,
    ),
    fc.tuple(
      fc.constant('FREQ=MONTHLY'),
      interval,
      fc.constantFrom(';BYMONTHDAY=-1', ';BYMONTHDAY=1,15,31', ';BYMONTHDAY=-3,13'),
      time,
    ),
    fc.tuple(
      fc.constant('FREQ=YEARLY'),
      interval,
      maybe('BYMONTH', list(1, 12, 3)),
      counted.map((day) => `;BYDAY=${day}`),
      time,
    ),
    fc.tuple(fc.constant('FREQ=YEARLY'), fc.constantFrom(';BYYEARDAY=1,100,-1', ';BYYEARDAY=60,366', ''), time),
    fc.tuple(
      fc.constant('FREQ=YEARLY'),
      weekStart,
      list(2, 51, 3).map((weeks) => `;BYWEEKNO=${weeks}`),
      weekdays.map((days) => `;BYDAY=${days}`),
      time,
    ),
    fc.tuple(
      fc.constant('FREQ=HOURLY'),
      fc.constantFrom('', ';INTERVAL=7', ';INTERVAL=25'),
      maybe('BYDAY', weekdays),
      fc.constantFrom(';BYMINUTE=15', ';BYMINUTE=0,50', ';BYMINUTE=0,20,40;BYSETPOS=-1'),
    ),
    fc.tuple(
      fc.constant('FREQ=MINUTELY'),
      fc.constantFrom(';INTERVAL=45', ';INTERVAL=1000'),
      maybe('BYHOUR', list(0, 23, 6)),
      maybe('BYMONTH', list(1, 12, 6)),
    ),
  )
  .map((parts) => parts.join(''));
