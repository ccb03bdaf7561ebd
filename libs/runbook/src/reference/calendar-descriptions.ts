/** What the fields of a calendar mean. */
export const calendarSections = {
  calendar: {
    title: 'Calendar: spec',
    intro:
      'When work may begin: in any window of the calendars that hold (always, where none of them has one), but in no freeze and on no holiday of any.',
    fields: {
      description: 'what the calendar is for',
      timeZone: 'IANA name of the zone whose clock is read',
      siteTimeZones: 'site -> IANA name: for an asset there, the calendar is read by that clock',
      assets:
        'selector of the assets for which it holds, whatever runs on them; absent: it holds only where it is named',
      windows: 'when work may begin',
      freezes: 'when it may not, whatever a window says',
      holidays: 'days on which it may not, whatever a window says',
    },
  },
  window: {
    title: 'windows, freezes',
    intro: 'One of `cron`, `every`, `rrule` and `at` with one of `duration` and `days`; or `from` and `to`.',
    fields: {
      name: 'what a person calls it',
      cron: 'when it begins: five fields, or six with seconds first',
      every: 'elapsed time between begins, counted from 1970-01-01T00:00:00Z',
      phase: 'with `every`: so long after its multiples',
      rrule: 'when it begins: a recurrence rule of RFC 5545, with lines `DTSTART`, `EXDATE` and `RDATE` if need be',
      at: "once: a time by the zone's clock, or one with an offset",
      dst: 'begins that a change of clocks leaves out (`gap`: `shift` or `skip`) or repeats (`overlap`: `first`, `last` or `both`)',
      start: 'the first moment of a begin; a date counts from its begin',
      end: 'the last moment of a begin, inclusive; a date counts to its end',
      exclude: 'local days and times at which none begins: a list of `date`, `cron` or `rrule`',
      timeZone: "IANA name, instead of the calendar's and of that of the asset's site",
      duration: 'elapsed time from its begin',
      days: 'so many local days from its begin, however long a change of clocks makes them',
      from: 'a range: its first moment; a date counts from its begin',
      to: 'a range: the moment at which it is over; a date counts to its end',
      cutoff: 'of a window: nothing begins any more so long before its end',
    },
  },
  holiday: {
    title: 'holidays',
    intro: 'Whole local days: one of `date` and `rrule`.',
    fields: {
      name: 'what a person calls it',
      date: 'a local day',
      rrule: 'days that come again, from midnight unless the rule names an hour',
      days: 'so many days from then; 1 without',
    },
  },
} as const;
