import { describe, expect, it } from '@jest/globals';
import { inputsFromText, needsSchema, parseInputArguments, typedInputs } from './inputs.js';

const schema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    count: { type: 'integer' },
    ratio: { type: 'number' },
    dry: { type: 'boolean' },
    hosts: { type: 'array' },
    ports: { type: 'array', items: { type: 'integer' } },
    days: { type: 'array', items: { enum: ['mon', 'tue'] } },
    password: { type: 'string', 'x-fettle-secret': true },
    more: { type: ['object', 'null'] },
    either: { type: ['string', 'number'] },
    free: {},
  },
};

function inputs(...values: string[]): Record<string, unknown> {
  return typedInputs(parseInputArguments(values), schema);
}

describe('--input', () => {
  it('is text unless the schema allows no text', () => {
    expect(inputs('name=3', 'either=3', 'free=3', 'unknown=true')).toEqual({
      name: '3',
      either: '3',
      free: '3',
      unknown: 'true',
    });
    expect(inputs('count=3', 'ratio=1.5', 'dry=false', 'hosts=["a"]', 'more=null')).toEqual({
      count: 3,
      ratio: 1.5,
      dry: false,
      hosts: ['a'],
      more: null,
    });
  });

  it('leaves what is not of the type as text, for the API to name', () => {
    expect(inputs('count=1.5', 'dry=yes', 'hosts={}', 'ratio="x"')).toEqual({
      count: '1.5',
      dry: 'yes',
      hosts: ['{}'],
      ratio: '"x"',
    });
  });

  it('takes JSON after :=, and keeps "=" and ":" in values', () => {
    expect(inputs('name:=3', 'a:={"b":[1]}', 'c=x=y:=z')).toEqual({ name: 3, a: { b: [1] }, c: 'x=y:=z' });
    expect(() => inputs('name:=[')).toThrow(/must be followed by JSON/);
  });

  it.each(['', '=x', ':=1', 'noequals'])('refuses %j', (text) => {
    expect(() => parseInputArguments([text])).toThrow(/name=value/);
  });

  it('makes own members of hostile names and touches no prototype', () => {
    const made = inputs('__proto__:={"polluted":1}', 'constructor=x');
    expect(Object.keys(made)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('collects what is given several times for a list, each value typed by its items', () => {
    expect(inputs('hosts=a', 'hosts=b', 'ports=22', 'days=mon')).toEqual({
      hosts: ['a', 'b'],
      ports: [22],
      days: ['mon'],
    });
    expect(inputs('ports=22', 'ports=x', 'ports:=[80,443]')).toEqual({ ports: [22, 'x', 80, 443] });
    expect(inputs('ports=[22,80]', 'hosts=["a"]')).toEqual({ ports: [22, 80], hosts: ['a'] });
    expect(() => inputs('name=a', 'name=b')).toThrow(/--input name is given 2 times, but it takes one value/);
  });

  it('takes the name of a credential for a secret, also with @ in front', () => {
    expect(inputs('password=db-admin')).toEqual({ password: 'db-admin' });
    expect(inputs('password=@db-admin')).toEqual({ password: 'db-admin' });
    expect(inputs('name=@db-admin')).toEqual({ name: '@db-admin' });
  });

  it('needs the schema unless JSON says it all', () => {
    expect(needsSchema(parseInputArguments(['b:=1', 'c:=[]']))).toBe(false);
    expect(needsSchema(parseInputArguments(['a=text']))).toBe(true);
    expect(needsSchema(parseInputArguments(['a:=1', 'a:=2']))).toBe(true);
  });

  it('reads files that hold an object', () => {
    expect(inputsFromText('a: 1\nb: [x]\n', 'f')).toEqual({ a: 1, b: ['x'] });
    expect(() => inputsFromText('- 1\n', 'f')).toThrow(/must hold an object/);
    expect(() => inputsFromText('a: [', 'f')).toThrow(/^f: /);
  });
});
