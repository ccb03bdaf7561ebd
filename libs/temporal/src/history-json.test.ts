import { describe, expect, it } from '@jest/globals';
import { historyFromJson, historyToJson } from './history-json.js';

const text = JSON.stringify({
  events: [
    {
      eventId: '1',
      eventTime: '2026-01-02T03:04:05.000000006Z',
      eventType: 'EVENT_TYPE_WORKFLOW_EXECUTION_STARTED',
      taskId: '9007199254740993',
      workflowExecutionStartedEventAttributes: {
        workflowType: { name: 'runRunbook' },
        input: { payloads: [{ metadata: { encoding: 'anNvbi9wbGFpbg==' }, data: 'MQ==' }] },
        workflowRunTimeout: '3.5s',
        workflowTaskTimeout: '10s',
        initiator: 'CONTINUE_AS_NEW_INITIATOR_WORKFLOW',
        firstWorkflowTaskBackoff: '0s',
      },
    },
  ],
});

describe('the JSON of a history', () => {
  it('comes back as it was, numbers of 64 bits and nanoseconds included', () => {
    expect(JSON.parse(historyToJson(historyFromJson(JSON.parse(text))))).toEqual(JSON.parse(text));
  });

  it('becomes the message that the SDK replays', () => {
    const [event] = historyFromJson(JSON.parse(text)).events!;
    expect(event).toMatchObject({ eventType: 1, eventTime: { nanos: 6 } });
    expect(Number(event!.eventTime!.seconds)).toBe(Date.UTC(2026, 0, 2, 3, 4, 5) / 1000);
    const started = event!.workflowExecutionStartedEventAttributes!;
    expect(Buffer.from(started.input!.payloads![0]!.data!).toString()).toBe('1');
    expect(started.workflowRunTimeout).toMatchObject({ nanos: 500_000_000 });
  });

  it.each([[{}], [null], ['x'], [{ events: [] }], [{ events: [{ eventTime: 'soon' }] }]])('refuses %j', (value) => {
    expect(() => historyFromJson(value)).toThrow();
  });
});
