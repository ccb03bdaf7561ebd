import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import { parseExpression } from './expression.js';
import { parseSelector } from './selector.js';
import type { ExpressionEnvironment } from './types.js';

function errorOf(action: () => unknown): FettleError {
  try {
    action();
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const problem = (source: string, environment: ExpressionEnvironment = 'target'): FettleError =>
  errorOf(() => parseExpression(source, environment));

describe('what the check finds', () => {
  const cases: readonly [source: string, line: number, column: number, message: RegExp, suggestion?: string][] = [
    ['asset.knd == "server"', 1, 7, /unknown field "knd" of asset/, 'kind'],
    ['asset.name == "a" &&\n  asset.ste == "b"', 2, 9, /unknown field "ste"/, 'site'],
    ['aset.name == "a"', 1, 1, /unknown variable "aset"/, 'asset'],
    ['kind == "server"', 1, 1, /unknown variable "kind"/, 'asset.kind'],
    ['true || inputz.path == "a"', 1, 9, /unknown variable "inputz"/, 'inputs'],
    ['asset["knd"] == "a"', 1, 7, /unknown field "knd"/, 'kind'],
    ['asset.constructor == "a"', 1, 7, /unknown field "constructor"/],
    ['has(asset.nmae)', 1, 11, /unknown field "nmae"/, 'name'],
    ['asset.name == 4', 1, 15, /a string cannot be compared with an int/],
    ['asset.name < true', 1, 14, /takes numbers or strings/],
    ['asset.labels.env == 4', 1, 21, /a string cannot be compared/],
    ['asset.owner == null', 1, 16, /never null.*has/],
    ['asset.name && true', 1, 7, /must be a bool/],
    ['!asset.name', 1, 8, /must be a bool/],
    ['asset.name ? 1 : 2', 1, 7, /must be a bool/],
    ['asset.name in [1]', 1, 16, /cannot be compared/],
    ['1 in asset.labels', 1, 1, /keys of a map are strings/],
    ['"a" in asset.name', 1, 14, /takes a list or a map/],
    ['asset.name.startWith("a")', 1, 12, /unknown function "startWith"/, 'startsWith'],
    ['size(1)', 1, 6, /takes string or list or map/],
    ['asset.name.startsWith("a", "b")', 1, 12, /takes 1 argument/],
    ['startsWith(asset.name, "a")', 1, 1, /is a method/],
    ['asset.name + 1', 1, 7, /takes numbers/],
    ['inputs.t.getHours() == 1', 1, 10, /left out/],
    ['timestamp("2026-01-01T00:00:00Z") == inputs.t', 1, 1, /left out/],
    ['inputs.s.matches("(?=a)")', 1, 18, /not a regular expression of RE2/],
    ['inputs.s.matches(inputs.p)', 1, 25, /pattern written out/],
    ['inputs.l.exists(x, y)', 1, 20, /unknown variable "y"/],
    ['inputs.l.exists(1, true)', 1, 17, /variable/],
    ['{"a": 1, "a": 2} == inputs', 1, 10, /occurs twice/],
    ['1u == inputs.x', 1, 1, /not part of this language/],
    ['99999999999999999999 == inputs.x', 1, 1, /64 bits/],
    ['"\\x00" == inputs.x', 1, 1, /U\+0000/],
    ['"\ud800" == inputs.x', 1, 1, /surrogate/],
    ['inputs.x ==', 1, 12, /unexpected token/],
    ['inputs.x == #', 1, 13, /unexpected character/],
    ['inputs.x = "a"', 1, 10, /compared with "=="/, '=='],
    ['', 1, 1, /empty/],
    [' \n ', 1, 1, /empty/],
  ];
  it.each(cases.map(([source, line, column, message, suggestion]) => ({ source, line, column, message, suggestion })))(
    '$source at $line:$column',
    ({ source, line, column, message, suggestion }) => {
      const error = problem(source);
      expect(error.code).toBe('invalid-expression');
      expect(error.position).toEqual({ line, column });
      expect(error.message).toMatch(message);
      expect(error.detail?.suggestion).toBe(suggestion);
    },
  );

  it('knows other variables in each environment', () => {
    expect(problem('inputs.a == 1', 'selector').message).toMatch(/known here: asset/);
    expect(problem('asset.name == "a"', 'run').message).toMatch(/known here: inputs, run, steps/);
    expect(() =>
      parseExpression('steps.touch.stdout == inputs.a && run.id != asset.name && result.exitCode == 0', 'target'),
    ).not.toThrow();
    expect(() => parseExpression('steps.count.total > inputs.n && run.id != ""', 'run')).not.toThrow();
  });

  it('says which text an error is in', () => {
    const error = errorOf(() => parseSelector('asset.knd == "a"', { origin: '--on' }));
    expect(error.message).toContain('--on:1:7');
    expect(error.detail).toMatchObject({ origin: '--on', suggestion: 'kind', text: 'knd' });
  });

  it('wants a condition to be a bool', () => {
    expect(errorOf(() => parseExpression('asset.name', 'target', { expect: 'bool' })).message).toMatch(
      /a condition must be a bool/,
    );
    expect(parseExpression('inputs.flag', 'target', { expect: 'bool' }).type.kind).toBe('dyn');
  });
});

describe('what selectors leave to evaluation in memory', () => {
  it.each([
    ['asset.facts.tags.exists(t, t == "a")', /exists\(\) is not supported in selectors/],
    ['asset.facts.n + 1 == 2', /arithmetic \(\+\) is not supported in selectors/],
    ['asset.name.matches("a")', /matches\(\) is not supported in selectors/],
    ['asset.name.lowerAscii() == "a"', /lowerAscii\(\) is not supported in selectors/],
    ['int(asset.facts.n) == 1', /int\(\) is not supported in selectors/],
    ['asset.facts[asset.name] == 1', /a computed key or index is not supported in selectors/],
    ['asset.name in asset.facts', /a computed name of a fact is not supported in selectors/],
    ['size(asset.facts) == 1', /asset.facts as a whole is not supported in selectors/],
    ['asset.facts.l == [asset.name]', /a computed value inside a list or map is not supported in selectors/],
    ['asset.facts.l[9999999999] == 1', /an index beyond/],
  ])('%s', (source, message) => {
    const error = errorOf(() => parseSelector(source));
    expect(error.code).toBe('invalid-expression');
    expect(error.message).toMatch(message);
    expect(error.position).toBeDefined();
  });
});

describe('hostile sources', () => {
  it.each([
    ['a source of 1 MB', 'a'.repeat(1024 * 1024)],
    ['10,000 brackets', '['.repeat(10_000)],
    ['brackets that fit', '['.repeat(4000)],
    ['parentheses that fit', `${'('.repeat(2000)}true${')'.repeat(2000)}`],
    ['maps in maps', '{"a":'.repeat(800)],
    ['conditionals in conditionals', `${'true ? 1 : '.repeat(300)}1`],
    ['negations', `${'!'.repeat(4000)}true`],
    ['a few negations too many', `${'!'.repeat(200)}true`],
    ['minus signs', `${'-'.repeat(1500)}1`],
    ['a long sum', `1${'+1'.repeat(1000)}`],
    ['a long path', `inputs${'.a'.repeat(1500)}`],
    ['calls in calls', `${'size('.repeat(600)}"a"${')'.repeat(600)}`],
    ['too many arguments', `inputs.s.startsWith(${'1,'.repeat(100)}1)`],
    ['a repeat of a repeat', 'inputs.s.matches("((a{1,100}){1,100}){1,100}")'],
    ['a large pattern', 'inputs.s.matches("(a{1,30}){1,33}")'],
    ['a string that never ends', `"${'a'.repeat(2000)}`],
  ])('are refused: %s', (_name, source) => {
    const error = problem(source);
    expect(error.code).toBe('invalid-expression');
    expect(error.position).toBeDefined();
    expect(error.message.length).toBeLessThan(500);
  });

  it('takes a long chain of conditions, which is no deep tree', () => {
    expect(() => parseExpression(`true${' && true'.repeat(300)}`, 'run')).not.toThrow();
  });

  it('checks deep trees once', () => {
    expect(parseExpression(`1${' + 1'.repeat(100)}`, 'run').type.kind).toBe('int');
    expect(parseExpression(`inputs.a${' - inputs.b'.repeat(100)} < 1`, 'run').type.kind).toBe('bool');
    expect(parseExpression(`${'-'.repeat(100)}inputs.a`, 'run').type.kind).toBe('dyn');
    expect(parseExpression(`${'{"a": '.repeat(30)}1${'}'.repeat(30)}`, 'run').type.kind).toBe('map');
    expect(parseExpression(`${'inputs.a ? 1 : '.repeat(50)}1`, 'run').type.kind).toBe('int');
    expect(parseExpression(`${'(inputs.a == '.repeat(50)}inputs.b${')'.repeat(50)}`, 'run').type.kind).toBe('bool');

    expect(parseExpression(`${'['.repeat(60)}1${']'.repeat(60)}`, 'run').type.kind).toBe('list');
  });
});
