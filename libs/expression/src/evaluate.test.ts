import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import { evaluate, evaluateCondition, type Truth } from './evaluate.js';
import { parseExpression } from './expression.js';
import { evaluateSelector, parseSelector, narrow } from './selector.js';
import type { AssetView } from './types.js';

const asset: AssetView = {
  id: '0192f0c1-2d3e-7abc-8def-0123456789ab',
  name: 'web01',
  kind: 'server',
  owner: null,
  labels: { env: 'prod', 'a.b': 'x' },
  facts: {
    os: { family: 'debian', empty: null },
    mem: { gb: 8 },
    cpu: { ghz: 8.5 },
    tags: ['web', 3],
    disks: [{ gb: 1 }],
  },
  quarantined: false,
};
const inputs = JSON.parse(
  '{"n": 3, "half": 2.5, "big": 9007199254740993, "text": "héllo😀", "list": [3, 1, 2], "flag": true, "nothing": null, "__proto__": {"x": 1}}',
) as unknown;

const select = (source: string): Truth => evaluateSelector(parseSelector(source), asset);
const value = (source: string): unknown => {
  const evaluation = evaluate(parseExpression(source, 'target'), { asset, inputs, steps: {}, run: {} });
  return evaluation.known ? evaluation.value : `unknown: ${evaluation.reason}`;
};

describe('three truth values', () => {
  const T = 'true';
  const F = 'false';
  const U = 'asset.facts.missing';
  const truths: readonly [string, Truth][] = [
    [T, true],
    [F, false],
    [U, 'unknown'],
  ];
  const and = (a: Truth, b: Truth): Truth =>
    a === false || b === false ? false : a === true && b === true ? true : 'unknown';
  const or = (a: Truth, b: Truth): Truth =>
    a === true || b === true ? true : a === false && b === false ? false : 'unknown';
  const table = truths.flatMap(([a, x]) => truths.map(([b, y]) => ({ a, b, x, y })));

  it.each(table)('$a with $b', ({ a, b, x, y }) => {
    expect(select(`${a} && ${b}`)).toBe(and(x, y));
    expect(select(`${a} || ${b}`)).toBe(or(x, y));
    expect(select(`${a} ? ${b} : ${b}`)).toBe(x === 'unknown' ? 'unknown' : y);
    expect(select(`${a} == ${b}`)).toBe(x === 'unknown' || y === 'unknown' ? 'unknown' : x === y);
  });

  it.each([
    ['!asset.facts.missing', 'unknown'],
    ['!(asset.facts.missing && false)', true],
    ['asset.facts.os.family && false', false],
    ['asset.facts.os.family && true', 'unknown'],
    ['asset.owner == "ann"', 'unknown'],
    ['asset.owner != "ann"', 'unknown'],
    ['asset.site != "ber"', 'unknown'],
    ['asset.labels.tier != "db"', 'unknown'],
    ['asset.facts.os.family == 4', 'unknown'],
    ['asset.facts.os.family != 4', 'unknown'],
    ['asset.facts.os.family < 4', 'unknown'],
    ['asset.facts.mem.gb == "8"', 'unknown'],
    ['asset.facts.os.empty == null', true],
    ['asset.facts.os.empty != null', false],
    ['asset.facts.os.family == null', false],
    ['asset.facts.os.empty == "debian"', 'unknown'],
    ['asset.facts.missing == null', 'unknown'],
    ['asset.facts.missing in []', 'unknown'],
    ['asset.facts.os.empty in []', false],
    ['asset.facts.mem.gb in ["a", 8]', true],
    ['asset.facts.mem.gb in ["a", 9]', 'unknown'],
    ['"web" in asset.facts.tags', true],
    ['"db" in asset.facts.tags', false],
    ['3.0 in asset.facts.tags', true],
    ['"env" in asset.labels', true],
    ['"os" in asset.facts', true],
    ['"toString" in asset.labels', false],
    ['"__proto__" in asset.facts', false],
    ['"web" in asset.facts.os.family', 'unknown'],
  ] as const)('%s is %s', (source, truth) => {
    expect(select(source)).toBe(truth);
  });

  it.each([
    ['has(asset.owner)', false],
    ['has(asset.name)', true],
    ['has(asset.labels.env)', true],
    ['has(asset.labels["a.b"])', true],
    ['has(asset.facts.os.family)', true],
    ['has(asset.facts.os.empty)', true],
    ['has(asset.facts.os.family.deeper)', false],
    ['has(asset.facts.missing.deeper.still)', false],
    ['has(asset.facts.constructor)', false],
    ['has(asset.facts.__proto__)', false],
    ['has(asset.facts.tags[1])', true],
    ['has(asset.facts.tags[2])', false],
    ['has(asset.facts.tags["0"])', false],
    ['has(asset.quarantined)', true],
  ] as const)('%s is %s, never unknown', (source, truth) => {
    expect(select(source)).toBe(truth);
  });
});

describe('numbers and text', () => {
  it.each([
    ['asset.facts.mem.gb > 4', true],
    ['asset.facts.mem.gb == 8.0', true],
    ['asset.facts.cpu.ghz > 8', true],
    ['asset.facts.cpu.ghz < 9', true],
    ['9007199254740993 == 9007199254740992.0', false],
    ['9223372036854775807 > 9223372036854775000', true],
    ['-9223372036854775808 < 0', true],
    ['1e300 > 9223372036854775807', true],
    ['"a" < "b"', true],
    ['"Z" < "a"', true],
    ['"\uFFFD" < "😀"', true],
    ['size("héllo😀") == 6', true],
    ['size(asset.labels) == 2', true],
    ['asset.name.startsWith("web") && asset.name.endsWith("01") && asset.name.contains("b0")', true],
    ['asset.facts.disks[0].gb == 1', true],
    ['asset.labels == {"a.b": "x", "env": "prod"}', true],
    ['asset.facts.disks == [{"gb": 1.0}]', true],
    ['asset.facts.disks == [{"gb": "1"}]', false],
  ] as const)('%s is %s', (source, truth) => {
    expect(select(source)).toBe(truth);
  });

  it.each([
    ['1 + 2 * 3', 7],
    ['7 / 2', 3],
    ['-7 % 3', -1],
    ['inputs.n / 2.0', 1.5],
    ['inputs.n * inputs.half', 7.5],
    ['"a" + inputs.text', 'ahéllo😀'],
    ['inputs.list + [4]', [3, 1, 2, 4]],
    ['string(inputs.n) + "/" + string(inputs.half) + string(true)', '3/2.5true'],
    ['int("42") + int(2.9) + int("-1")', 43],
    ['double("2.5")', 2.5],
    ['bool("true")', true],
    ['inputs.list.map(x, x * 2)', [6, 2, 4]],
    ['inputs.list.filter(x, x > 1)', [3, 2]],
    ['inputs.list.map(x, x > 1, {"v": x})', [{ v: 3 }, { v: 2 }]],
    ['inputs.list.all(x, x > 0)', true],
    ['inputs.list.exists(x, x == 2)', true],
    ['inputs.list.exists_one(x, x > 1)', false],
    ['asset.labels.exists(k, k == "env")', true],
    ['["a", "b"].join("-")', 'a-b'],
    ['"a,b".split(",")', ['a', 'b']],
    ['" A ".trim().lowerAscii() + "b".upperAscii()', 'aB'],
    ['inputs.text.matches("^h.l+o")', true],
    ['inputs.text.matches("^l")', false],
    ['inputs.flag ? inputs.nothing : 1', null],
    ['inputs["__proto__"].x', 1],
    ['{"__proto__": 1}', JSON.parse('{"__proto__": 1}')],
    ['asset.name', 'web01'],
  ])('%s yields %j', (source, expected) => {
    expect(value(source)).toEqual(expected);
  });

  it.each([
    ['1 / 0', /division by zero/],
    ['9223372036854775807 + 1', /64 bits/],
    ['1e300 * 1e300', /finite/],
    ['inputs.text + inputs.n', /no \+ of string and int/],
    ['inputs.missing', /"missing" is missing \(at 1:8\)/],
    ['inputs.constructor', /"constructor" is missing/],
    ['inputs.list[3]', /list has no 3/],
    ['inputs.list[-1]', /list has no -1/],
    ['inputs.list["0"]', /list has no "0"/],
    ['inputs.n.x', /int has no "x"/],
    ['int("0x10")', /whole number/],
    ['[1].join()', /list of strings/],
    ['inputs.list.map(x, x.y)', /int has no "y"/],
    ['inputs.list.all(x, x.y)', /int has no "y"/],
    ['result.exitCode', /"result" has no value here/],
    ['{inputs.text: 1, inputs.text: 2}', /occurs twice/],
  ])('%s is unknown, with the reason', (source, reason) => {
    expect(value(source)).toMatch(reason);
  });

  it('decides all() and exists() in spite of unknown elements', () => {
    expect(value('inputs.list.exists(x, x == 3 || x.y)')).toBe(true);
    expect(value('[[1], [2]].exists(x, x[1] == 1 || x[0] == 2)')).toBe(true);
    expect(value('[{"a": 1}, {}].all(x, x.a == 2)')).toBe(false);
    expect(value('[{"a": 1}, {}].all(x, x.a == 1)')).toMatch(/"a" is missing/);
  });

  it('refuses to hand out integers that JSON would round', () => {
    expect(() => value('9007199254740993')).toThrow(expect.objectContaining({ code: 'unknown-value' }));
  });

  it('treats a condition that is no bool as unknown', () => {
    expect(evaluateCondition(parseExpression('inputs.n', 'target'), { inputs })).toBe('unknown');
  });
});

describe('narrowing', () => {
  const own = parseSelector('asset.kind == "server"', { origin: 'spec.targets' });
  it('is both selectors, in three truth values', () => {
    expect(evaluateSelector(narrow(own, parseSelector('asset.labels.env == "prod"')), asset)).toBe(true);
    expect(evaluateSelector(narrow(own, parseSelector('asset.labels.env == "test" || false')), asset)).toBe(false);
    expect(evaluateSelector(narrow(own, parseSelector('asset.site == "ber"')), asset)).toBe('unknown');
  });
  it('cannot be widened by an unbalanced or commented text, as each part is parsed by itself', () => {
    expect(() => parseSelector('true) || (true', { origin: '--on' })).toThrow(/--on:1:5/);
    const commented = parseSelector('asset.labels.env == "prod" // || true');
    expect(parseSelector(narrow(commented, own).source).root.op).toBe('and');
  });
});

describe('bounded work', () => {
  const numbers = Array.from({ length: 1000 }, (_, index) => index);
  const long = 'x'.repeat(60_000);
  let deep: unknown = 1;
  for (let level = 0; level < 20_000; level += 1) deep = [deep];
  it.each([
    ['inputs.l.all(a, inputs.l.all(b, inputs.l.all(c, a + b + c >= 0)))', 'limit-exceeded'],
    ['inputs.l.map(a, inputs.s + inputs.s)', 'limit-exceeded'],
    ['inputs.l.map(a, inputs.l.map(b, inputs.s).join()).join()', 'limit-exceeded'],
    ['inputs.l.map(a, inputs.s.split(""))', 'limit-exceeded'],
    ['inputs.l.map(a, inputs.l + inputs.l)', 'limit-exceeded'],
    ['inputs.l.all(a, !inputs.s.matches("(x{1,30}){1,20}y"))', 'limit-exceeded'],
    ['inputs.deep == [inputs.deep]', 'limit-exceeded'],
    ['inputs.l.map(a, inputs.l)', 'unknown-value'],
    ['inputs.deep', 'unknown-value'],
  ])('%s ends in %s', (source, code) => {
    const expression = parseExpression(source, 'run');
    let thrown: unknown;
    try {
      evaluate(expression, { inputs: { l: numbers, s: long, deep } });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FettleError);
    expect(thrown).toMatchObject({ code });
  });

  it('matches a catastrophic pattern in linear time', () => {
    const expression = parseExpression('inputs.s.matches("^(x+)+$")', 'run');
    expect(evaluate(expression, { inputs: { s: `${long}!` } })).toEqual({ known: true, value: false });
  });
});
