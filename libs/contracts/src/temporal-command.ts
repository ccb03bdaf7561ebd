/** Commands to Temporal, as they stand in the outbox and as the relay sends them; `subject` is the workflow or schedule id, and one subject's commands are sent in order. */
export type TemporalCommand =
  | {
      readonly kind: 'start-run';
      readonly subject: string;
      readonly payload: { readonly runId: string; readonly timeoutMs: number };
    }
  | { readonly kind: 'cancel-run'; readonly subject: string; readonly payload: { readonly runId: string } }
  | {
      readonly kind: 'put-schedule';
      readonly subject: string;
      readonly payload: { readonly scheduleId: string; readonly cron: string; readonly timeZone: string };
    }
  /** Tells a run that something it waits for has come; `path` is the step's. */
  | { readonly kind: 'wake-run'; readonly subject: string; readonly payload: { readonly path: string } }
  | { readonly kind: 'enrol-asset'; readonly subject: string; readonly payload: { readonly enrolmentId: string } }
  /** Has a worker ask the probes of a plan. */
  | { readonly kind: 'check-plan'; readonly subject: string; readonly payload: { readonly checkId: string } };
