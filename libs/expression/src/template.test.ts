import { describe, expect, it } from '@jest/globals';
import { parseExpression } from './expression.js';
import { findReferences, references } from './references.js';
import { compileTemplate, findExpressions, renderCompiled, renderTemplate } from './template.js';

const variables = {
  inputs: { path: '/tmp/x', n: 3, list: [1, 2], evil: '${{ inputs.n }}; rm -rf /', nothing: null, flag: false },
  run: { id: 'r' },
  steps: {},
};
const render = (value: unknown): unknown => renderTemplate(value, 'run', variables);

describe('templates', () => {
  it.each([
    ['${{ inputs.n }}', 3],
    [' ${{ inputs.n }}', ' 3'],
    ['${{inputs.list}}', [1, 2]],
    ['${{ inputs.nothing }}', null],
    ['${{ inputs.flag }}', false],
    ['a ${{ inputs.n + 1 }} b ${{ inputs.flag }}', 'a 4 b false'],
    ['${{ inputs.evil }}', '${{ inputs.n }}; rm -rf /'],
    ['-${{ inputs.evil }}-', '-${{ inputs.n }}; rm -rf /-'],
    ['$${{ inputs.n }}', '${{ inputs.n }}'],
    ['$${{ a }} ${{ inputs.n }} $', '${{ a }} 3 $'],
    ['${{ {"a": {"b": "}}"}} }}', { a: { b: '}}' } }],
    ["${{ '}}' + \"}}\" + r'\\n' + '''}}''' }}", '}}}}\\n}}'],
    ['${{ "\\"}}" }}', '"}}'],
    ['{{ inputs.n }} $ {{ }} ${ x }', '{{ inputs.n }} $ {{ }} ${ x }'],
    ['', ''],
    [7, 7],
  ])('%j renders to %j', (template, expected) => {
    expect(render(template)).toEqual(expected);
  });

  it('goes through lists and maps, leaves keys alone and keeps odd keys', () => {
    const value = JSON.parse(
      '{"argv": ["touch", "${{ inputs.path }}"], "${{ inputs.n }}": 1, "__proto__": {"x": "${{ inputs.n }}"}}',
    ) as unknown;
    expect(render(value)).toEqual(
      JSON.parse('{"argv": ["touch", "/tmp/x"], "${{ inputs.n }}": 1, "__proto__": {"x": 3}}'),
    );
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it.each([
    ['a ${{ inputs.list }}', 'unknown-value', /only a string, number or bool/],
    ['a ${{ inputs.nothing }}', 'unknown-value', /is null/],
    ['${{ inputs.missing }}', 'unknown-value', /with\.argv\[0\].*"missing" is missing/],
    ['${{ inputs }', 'invalid-expression', /never ends/],
    ['${{ "a }}', 'invalid-expression', /never ends/],
    ['${{ }}', 'invalid-expression', /empty/],
    ['${{ asset.name }}', 'invalid-expression', /unknown variable "asset"/],
    ['${{ 1 }}'.repeat(1001), 'limit-exceeded', /1000 expressions/],
    ['${{ '.repeat(100_000), 'invalid-expression', /never ends/],
    [`${'x'.repeat(1024 * 1024)}\${{ inputs.n }}`, 'limit-exceeded', /characters/],
  ])('%.30s is a typed error', (template, code, message) => {
    const action = (): unknown => render({ with: { argv: [template] } });
    expect(action).toThrow(message);
    expect(action).toThrow(expect.objectContaining({ code }));
  });

  it('refuses a value of 10,000 levels', () => {
    let value: unknown = '${{ inputs.n }}';
    for (let level = 0; level < 10_000; level += 1) value = [value];
    expect(() => render(value)).toThrow(/more than 64 levels/);
  });

  it('renders a compiled template again and again', () => {
    const template = compileTemplate({ a: ['${{ inputs.n }}', 'x${{ inputs.n }}'] }, 'run', 'with');
    expect(template.expressions.map(({ path, whole }) => ({ path, whole }))).toEqual([
      { path: 'with.a[0]', whole: true },
      { path: 'with.a[1]', whole: false },
    ]);
    for (const n of [1, 2]) expect(renderCompiled(template, { inputs: { n } })).toEqual({ a: [n, `x${n}`] });
  });

  it('finds expressions with their paths and offsets', () => {
    expect(findExpressions({ argv: ['a', 'b ${{ x }}'], env: { 'A.B': '${{ y }}' }, $: '$${{ no }}' })).toEqual([
      { path: 'argv[1]', source: ' x ', offset: 5, whole: false },
      { path: 'env["A.B"]', source: ' y ', offset: 3, whole: true },
    ]);
  });
});

describe('references', () => {
  it.each([
    ['inputs.path + steps["touch"].stdout', ['inputs.path', 'steps.touch.stdout']],
    ['steps.touch.lines[0] == inputs.x && has(asset.facts.os)', ['asset.facts.os', 'inputs.x', 'steps.touch.lines.0']],
    ['inputs.list.map(x, x.a + inputs.b)', ['inputs.b', 'inputs.list']],
    ['inputs.list.map(steps, steps.a)', ['inputs.list']],
    ['steps[inputs.name].stdout', ['inputs.name', 'steps']],
    ['1 + 2', []],
    [
      '[inputs.a, {"k": inputs.b}][0] == (run.id == "" ? -inputs.c : size(inputs.d))',
      ['inputs.a', 'inputs.b', 'inputs.c', 'inputs.d', 'run.id'],
    ],
  ])('of %s', (source, expected) => {
    expect(references(parseExpression(source, 'target'))).toEqual(expected);
  });

  it('have positions', () => {
    expect(findReferences(parseExpression('true &&\n steps.touch.stdout == "a"', 'run'))).toEqual([
      { keys: ['steps', 'touch', 'stdout'], path: 'steps.touch.stdout', position: { line: 2, column: 14 } },
    ]);
  });
});
