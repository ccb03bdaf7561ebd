import { isRecord } from '@fettle/runbook';
import type { Output } from '../../output/output.js';

/** Events of a history in Temporal's JSON, a line each: when, what, and of which activity, signal or marker. */
export function eventLines(output: Output, events: readonly unknown[]): string {
  return output.table(events.filter(isRecord), [
    { title: 'EVENT', value: (event) => text(event['eventId']), align: 'right' },
    { title: 'TIME', value: (event) => text(event['eventTime']) },
    {
      title: 'TYPE',
      value: (event) =>
        text(event['eventType'])
          .replace(/^EVENT_TYPE_/, '')
          .toLowerCase(),
    },
    { title: 'OF', value: (event) => subjectOf(event) },
  ]);
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** The SDK notes local activities as markers, with their type in the marker's details. */
function subjectOf(event: Readonly<Record<string, unknown>>): string {
  const attributes = Object.entries(event).find(([name]) => name.endsWith('EventAttributes'))?.[1];
  if (!isRecord(attributes)) return '';
  for (const name of ['activityType', 'workflowType']) {
    const type = attributes[name];
    if (isRecord(type)) return text(type['name']);
  }
  const marked = localActivityOf(attributes);
  return marked ?? text(attributes['signalName'] ?? attributes['timerId'] ?? attributes['markerName']);
}

function localActivityOf(attributes: Readonly<Record<string, unknown>>): string | null {
  if (attributes['markerName'] !== 'core_local_activity' || !isRecord(attributes['details'])) return null;
  const { data } = attributes['details'];
  const payloads = isRecord(data) ? data['payloads'] : undefined;
  const first: unknown = Array.isArray(payloads) ? payloads[0] : undefined;
  if (!isRecord(first)) return null;
  try {
    const said: unknown = JSON.parse(Buffer.from(text(first['data']), 'base64').toString('utf8'));
    return isRecord(said) ? text(said['activity_type']) : null;
  } catch {
    return null;
  }
}
