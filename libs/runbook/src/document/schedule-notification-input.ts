import type { ScheduleNotifyState } from '@fettle/contracts';

/** What a notification tells of a schedule, as JSON. */
export interface ScheduleNews {
  readonly state: ScheduleNotifyState;
  /** When it was so, ISO 8601. */
  readonly at: string;
  readonly schedule: { readonly space: string; readonly name: string };
  /** `reason`, and what is known besides: `nominalAt`, `dueAt`, `deadline` (`start` or `finish`), `runId`, `instants`, `source`, `code`. */
  readonly details: Readonly<Record<string, unknown>>;
}

const titles: Readonly<Record<ScheduleNotifyState, string>> = {
  'deadline-missed': 'misses its deadline',
  refused: 'could not start its run',
  missed: 'missed what was due',
  quarantined: 'is quarantined and starts nothing',
};

/** What is filled into a notification's input by its action; what the document says itself is stronger. */
export function scheduleNotificationInput(
  uses: string,
  given: Readonly<Record<string, unknown>>,
  news: ScheduleNews,
): Readonly<Record<string, unknown>> {
  const { state, at, schedule, details } = news;
  switch (uses) {
    case 'notify.webhook':
      return { type: `schedule.${state}`, timestamp: at, data: { schedule, state, ...details }, ...given };
    case 'notify.mail':
      return { subject: `Fettle: ${schedule.name} ${titles[state]}`, text: mailText(news), ...given };
    default:
      return given;
  }
}

/** News of no schedule at all, to check an input with that real news will complete. */
export const exampleScheduleNews: ScheduleNews = Object.freeze({
  state: 'quarantined',
  at: '2026-01-01T00:00:00.000Z',
  schedule: { space: 'default', name: 'example' },
  details: {},
});

const labels: readonly (readonly [key: string, label: string])[] = [
  ['nominalAt', 'Instant'],
  ['lastNominalAt', 'Last'],
  ['instants', 'Instants'],
  ['dueAt', 'Deadline'],
  ['runId', 'Run'],
];

function mailText({ state, schedule, details }: ScheduleNews): string {
  const known = labels.flatMap(([key, label]) => {
    const value = details[key];
    const isPlain = typeof value === 'string' || typeof value === 'number';
    return isPlain ? [`${label.padEnd(10)} ${value}`] : [];
  });
  const lines = [
    `The schedule ${schedule.name} (space ${schedule.space}) ${titles[state]}.`,
    '',
    ...(typeof details['reason'] === 'string' ? [`${'Reason'.padEnd(10)} ${details['reason']}`] : []),
    ...known,
    '',
    `fettle schedule why ${schedule.name}`,
  ];
  return `${lines.join('\n')}\n`;
}
