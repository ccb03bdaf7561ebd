import proto from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;
export type History = proto.temporal.api.history.v1.IHistory;

/**
 * A history as JSON in the form that Temporal's own tools write and read: protobuf's JSON mapping with full names of enumerations.
 * (The SDK has this as `historyToJSON`, which fails wherever npm has installed its copies of protobufjs apart.)
 */
export function historyToJson(history: History): string {
  const plain = History.toObject(History.fromObject(history), { longs: String, enums: String, bytes: String });
  return JSON.stringify(mapTimes('', plain, timeToText));
}

/** The JSON of each of some events, with commas between: what stands in the brackets of `{"events":[...]}`. */
export function eventsToJson(events: NonNullable<History['events']>): string {
  if (events.length === 0) return '';
  const text = historyToJson({ events });
  return text.slice(text.indexOf('[') + 1, text.lastIndexOf(']'));
}

/** @throws Error where it is no history */
export function historyFromJson(value: unknown): History {
  const events = typeof value === 'object' && value !== null ? (value as { events?: unknown }).events : undefined;
  if (!Array.isArray(events) || events.length === 0) throw new Error('it has no list of events');
  return History.fromObject(mapTimes('', { events }, timeFromText) as Record<string, unknown>);
}

/** Names of members that hold a moment, and of those that hold a duration. */
const MOMENT = /(^t|T)ime$/;
const DURATION = /(Timeout|Interval|Backoff|Delay|Retention|ToFireTimeout)$/;

type MapTime = (name: string, value: unknown) => unknown;

/** Applies `change` to every member that may be a moment or a duration; undefined from it: the member is looked into. */
function mapTimes(name: string, value: unknown, change: MapTime): unknown {
  const changed = MOMENT.test(name) || DURATION.test(name) ? change(name, value) : undefined;
  if (changed !== undefined) return changed;
  if (Array.isArray(value)) return value.map((item) => mapTimes('', item, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, mapTimes(key, member, change)]));
}

function timeToText(name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  const members = Object.keys(value);
  if (members.some((member) => member !== 'seconds' && member !== 'nanos')) return undefined;
  const { seconds = '0', nanos = 0 } = value as { seconds?: string; nanos?: number };
  if (MOMENT.test(name)) {
    return new Date(Number(seconds) * 1000).toISOString().replace(/\.\d+Z$/, `.${String(nanos).padStart(9, '0')}Z`);
  }
  const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${seconds}${fraction}s`;
}

function timeFromText(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return undefined;
  if (MOMENT.test(name)) {
    const [, whole, fraction = ''] = /^(.+?)(?:\.(\d{1,9}))?Z$/.exec(value) ?? [];
    const ms = Date.parse(`${whole}Z`);
    if (Number.isNaN(ms)) throw new Error(`"${value.slice(0, 50)}" is no moment`);
    return { seconds: Math.floor(ms / 1000), nanos: Number(fraction.padEnd(9, '0')) };
  }
  const [, seconds, fraction = ''] = /^(\d+)(?:\.(\d{1,9}))?s$/.exec(value) ?? [];
  if (seconds === undefined) throw new Error(`"${value.slice(0, 50)}" is no duration`);
  return { seconds: Number(seconds), nanos: Number(fraction.padEnd(9, '0')) };
}
