import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalBytes, canonicalJson, type JsonValue } from './canonical.js';

describe('canonicalJson against RFC 8785', () => {
  it('section 3.2.2 to 3.2.4: the worked example, byte for byte', () => {
    const source = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    const expected = `
      7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73 22 3a
      5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37
      5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d`;
    const text = canonicalBytes(JSON.parse(source) as JsonValue);
    expect(text.toString('utf8')).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
    expect(text.toString('hex')).toBe(expected.replace(/\s/g, ''));
  });

  it('section 3.2.3: properties sort by UTF-16 code units, not by code points', () => {
    const source = String.raw`{
      "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
    }`;
    const values = Object.values(JSON.parse(canonicalJson(JSON.parse(source) as JsonValue)) as object);
    // "1" is an index-like key, which parsing puts first anyway; so the order is read from the text.
    const text = canonicalJson(JSON.parse(source) as JsonValue);
    const order = [
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ];
    expect(values).toHaveLength(order.length);
    expect([...order].sort((left, right) => text.indexOf(left) - text.indexOf(right))).toEqual(order);
  });

  it('appendix B: numbers by their IEEE 754 bits', () => {
    const samples: [string, string][] = [
      ['0000000000000000', '0'],
      ['8000000000000000', '0'],
      ['0000000000000001', '5e-324'],
      ['8000000000000001', '-5e-324'],
      ['7fefffffffffffff', '1.7976931348623157e+308'],
      ['ffefffffffffffff', '-1.7976931348623157e+308'],
      ['4340000000000000', '9007199254740992'],
      ['c340000000000000', '-9007199254740992'],
      ['4430000000000000', '295147905179352830000'],
      ['44b52d02c7e14af5', '9.999999999999997e+22'],
      ['44b52d02c7e14af6', '1e+23'],
      ['44b52d02c7e14af7', '1.0000000000000001e+23'],
      ['444b1ae4d6e2ef4e', '999999999999999700000'],
      ['444b1ae4d6e2ef4f', '999999999999999900000'],
      ['444b1ae4d6e2ef50', '1e+21'],
      ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
      ['3eb0c6f7a0b5ed8d', '0.000001'],
      ['41b3de4355555553', '333333333.3333332'],
      ['41b3de4355555554', '333333333.33333325'],
      ['41b3de4355555555', '333333333.3333333'],
      ['41b3de4355555556', '333333333.3333334'],
      ['41b3de4355555557', '333333333.33333343'],
      ['becbf647612f3696', '-0.0000033333333333333333'],
      ['43143ff3c1cb0959', '1424953923781206.2'],
    ];
    for (const [bits, text] of samples) expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(text);
    for (const bits of ['7fffffffffffffff', '7ff0000000000000']) {
      expect(() => canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toThrow(/not a JSON number/);
    }
  });
});

describe('canonicalJson', () => {
  it('is the same for the same value however it was built, and loses nothing (property)', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        const parsed = JSON.parse(text) as JsonValue;
        expect(JSON.parse(JSON.stringify(value))).toEqual(parsed);
        return canonicalJson(parsed) === text;
      }),
      { numRuns: 500 },
    );
  });

  it('treats undefined members as absent and keeps __proto__ as data', () => {
    expect(canonicalJson({ b: undefined, a: 1 })).toBe('{"a":1}');
    expect(canonicalJson(JSON.parse('{"__proto__":{"x":1},"a":2}') as JsonValue)).toBe('{"__proto__":{"x":1},"a":2}');
  });

  it('refuses what JSON cannot carry, and says where', () => {
    const cyclic: Record<string, JsonValue> = {};
    cyclic['self'] = cyclic;
    const bad: [unknown, RegExp][] = [
      [{ a: [1, Number.NaN] }, /^\$\.a\[1\]: NaN/],
      [{ a: 10n }, /type bigint/],
      [{ a: new Date(0) }, /type object/],
      [[undefined], /^\$\[0\]: a value of type undefined/],
      [new Array(1), /type undefined/],
      [{ a: '\ud800' }, /lone surrogate/],
      [{ '\udc00': 1 }, /lone surrogate/],
      [cyclic, /nesting is deeper than 64/],
    ];
    for (const [value, message] of bad) expect(() => canonicalJson(value as JsonValue)).toThrow(message);
  });
});
