import { describe, expect, it } from '@jest/globals';
import { storableJson } from './storable-json.js';

describe('storableJson', () => {
  it('replaces what jsonb refuses, in texts and in keys, at every depth', () => {
    const value = { 'k\0': ['a\0b', { deep: '\ud800x' }], whole: '\u{1F600}', number: 1, none: null, yes: true };
    expect(storableJson(value)).toEqual({
      'k\uFFFD': ['a\uFFFDb', { deep: '\uFFFDx' }],
      whole: '\u{1F600}',
      number: 1,
      none: null,
      yes: true,
    });
  });

  it('keeps a key that an object of JavaScript treats in its own way', () => {
    const value = JSON.parse('{"__proto__": {"a": "b\\u0000"}}') as object;
    expect(JSON.stringify(storableJson(value))).toBe('{"__proto__":{"a":"b\uFFFD"}}');
  });
});
