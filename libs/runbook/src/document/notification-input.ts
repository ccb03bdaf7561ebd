import type { Notification } from '@fettle/contracts';

/** What a notification tells of a run, as JSON. Inputs are no part of it: they may be large, and are nobody's business elsewhere. */
export interface RunNews {
  /** The state that it is about, which the run may have left since. */
  readonly state: Notification['on'][number];
  /** When it came into that state, ISO 8601. */
  readonly at: string;
  readonly run: {
    readonly id: string;
    readonly space: string;
    readonly runbook: string;
    readonly version: string;
    readonly requestedBy: string;
    readonly reason: string | null;
    readonly schedule: string | null;
    readonly targetCount: number;
    readonly counts: Readonly<Record<string, number>>;
    readonly error: { readonly code: string; readonly message: string; readonly remedy?: string | undefined } | null;
    readonly createdAt: string;
    readonly startedAt: string | null;
    readonly endedAt: string | null;
  };
}

/** What is filled into a notification's input by its action; what the document says itself is stronger. */
const defaults: Readonly<Record<string, (news: RunNews) => Readonly<Record<string, unknown>>>> = {
  'notify.webhook': ({ state, at, run }) => ({ type: `run.${state}`, timestamp: at, data: { run: { ...run, state } } }),
  'notify.mail': ({ state, run }) => ({ subject: `Fettle: ${run.runbook} ${state}`, text: mailText(state, run) }),
};

/** Actions that a notification may use. */
export const notifyActions: readonly string[] = Object.keys(defaults);

export function notificationInput(
  uses: string,
  given: Readonly<Record<string, unknown>>,
  news: RunNews,
): Readonly<Record<string, unknown>> {
  const own = Object.hasOwn(defaults, uses) ? defaults[uses]?.(news) : undefined;
  return { ...own, ...given };
}

/** News of no run at all, to check an input with that a run's news will complete. */
export const exampleNews: RunNews = Object.freeze({
  state: 'failed',
  at: '2026-01-01T00:00:00.000Z',
  run: {
    id: '00000000-0000-7000-8000-000000000000',
    space: 'default',
    runbook: 'example',
    version: '',
    requestedBy: '',
    reason: null,
    schedule: null,
    targetCount: 0,
    counts: {},
    error: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: null,
    endedAt: null,
  },
});

function mailText(state: string, run: RunNews['run']): string {
  const counts = Object.entries(run.counts).filter(([, count]) => count > 0);
  const lines = [
    `The run of ${run.runbook} (space ${run.space}) is ${state}.`,
    '',
    `Run        ${run.id}`,
    `Asked by   ${run.requestedBy}${run.schedule === null ? '' : ` (schedule ${run.schedule})`}`,
    ...(run.reason === null ? [] : [`Reason     ${run.reason}`]),
    ...(run.startedAt === null ? [] : [`Started    ${run.startedAt}`]),
    ...(run.endedAt === null ? [] : [`Ended      ${run.endedAt}`]),
    `Targets    ${run.targetCount}${counts.length === 0 ? '' : `: ${counts.map(([name, count]) => `${count} ${name}`).join(', ')}`}`,
    ...(run.error === null ? [] : [`Error      ${run.error.code}: ${run.error.message}`]),
    ...(run.error?.remedy === undefined ? [] : [`Remedy     ${run.error.remedy}`]),
    '',
    `fettle run show ${run.id}`,
  ];
  return `${lines.join('\n')}\n`;
}
