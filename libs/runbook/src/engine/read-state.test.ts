import { describe, expect, it } from '@jest/globals';
import { advance } from './advance.js';
import { readState } from './read-state.js';
import { initialState, STATE_FORMAT } from './state.js';
import { program, target } from './testing.js';

describe('the state between two executions of a workflow', () => {
  const running = () => {
    const steps = program([target('one'), target('two')]);
    const counts = { ...initialState(steps).counts, pending: 3 };
    return { steps, ...advance(steps, initialState(steps), { kind: 'started', inputs: {}, targetCounts: counts }) };
  };

  it('is read as it was written', () => {
    const { state } = running();
    expect(readState(JSON.parse(JSON.stringify(state)))).toEqual(JSON.parse(JSON.stringify(state)));
    expect(state.format).toBe(STATE_FORMAT);
  });

  it('is taken over from the releases before the number, and gone on with', () => {
    const { steps, state, commands } = running();
    const { format: _format, ...before } = state;
    const read = readState(JSON.parse(JSON.stringify(before)));
    expect(read).toEqual(state);
    const [dispatch] = commands;
    if (dispatch?.kind !== 'dispatch-segment') throw new Error('no segment was dispatched');
    const ended = { kind: 'segment-ended', path: dispatch.path, counts: state.counts } as const;
    expect(advance(steps, read, ended)).toEqual(advance(steps, state, ended));
  });

  it.each([0, STATE_FORMAT + 1, 'x', null])('is refused where its format is %s', (format) => {
    const { state } = running();
    const error = { code: 'unavailable', remedy: expect.stringContaining('worker') as unknown };
    expect(() => readState({ ...state, format })).toThrow(expect.objectContaining(error));
  });
});
