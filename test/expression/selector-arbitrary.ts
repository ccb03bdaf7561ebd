// Selectors and assets with missing and odd values, made by fast-check.
import fc from 'fast-check';
import type { AssetView } from '@fettle/expression';

const texts = [
  '',
  'a',
  'Z',
  'ab',
  'prod',
  'windows',
  'linux',
  'é',
  '\u{1F600}',
  '\uFFFD',
  '\uE000x',
  "it's",
  '"',
  '\\',
  '%_',
  '$1',
  'a\nb',
  '8',
  'true',
  'null',
  '-',
];
const keys = ['os', 'os', 'os', 'x', 'x', 'tags', '__proto__', 'constructor', 'a.b', '0'];
const numbers = [
  0,
  -0,
  1,
  8,
  8.5,
  -1,
  0.1,
  1e-7,
  5e-324,
  2 ** 53,
  2 ** 53 + 2,
  9223372036854774784,
  2 ** 63,
  1e21,
  1e300,
  -1e300,
  1.5e21,
];
const intLiterals = [
  '0',
  '1',
  '8',
  '-1',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854774900',
  '9223372036854775000',
];
const doubleLiterals = [
  '0.0',
  '-0.0',
  '8.0',
  '8.5',
  '0.1',
  '1e-7',
  '5e-324',
  '1e21',
  '9223372036854775807.0',
  '9007199254740993.0',
  '1e300',
];
const textFields = ['id', 'name', 'space', 'kind', 'owner', 'site', 'criticality', 'lifecycle'] as const;

const text = fc
  .oneof(
    { weight: 5, arbitrary: fc.constantFrom(...texts) },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 4 }) },
  )
  // Postgres holds no U+0000, and so neither does an inventory.
  .map((value) => value.replaceAll('\0', ''));
const number = fc.oneof(
  fc.constantFrom(...numbers),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: -3, max: 9 }),
);
const key = fc.constantFrom(...keys);

const { json } = fc.letrec<{ json: unknown; scalar: unknown }>((tie) => ({
  scalar: fc.oneof(text, text, number, number, fc.boolean(), fc.constant(null)),
  json: fc.oneof(
    { maxDepth: 3 },
    { weight: 3, arbitrary: tie('scalar') },
    { weight: 1, arbitrary: fc.array(tie('json'), { maxLength: 3 }) },
    {
      weight: 2,
      arbitrary: fc.array(fc.tuple(key, tie('json')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    },
  ),
}));

const uuids = ['0192f0c1-2d3e-7abc-8def-0123456789ab', '00000000-0000-7000-8000-000000000000'];
export const assetArbitrary: fc.Arbitrary<AssetView> = fc.record({
  id: fc.constantFrom(...uuids),
  name: text,
  ...Object.fromEntries(textFields.slice(2).map((field) => [field, fc.option(text, { freq: 6 })])),
  labels: fc
    .array(fc.tuple(key, text), { maxLength: 8 })
    .map((entries) => Object.fromEntries(entries) as Record<string, string>),
  facts: fc
    .array(fc.tuple(key, json), { maxLength: 12 })
    .map((entries) => Object.fromEntries(entries) as Record<string, unknown>),
  quarantined: fc.boolean(),
});

const quote = (value: string): string => JSON.stringify(value);
const selectable = new Set(keys.filter((name) => /^[a-z]\w*$/i.test(name)));
const step = key.chain((name) => fc.constantFrom(...(selectable.has(name) ? [`.${name}`] : []), `[${quote(name)}]`));
const factPath = fc
  .tuple(
    fc.array(
      fc.oneof({ weight: 4, arbitrary: step }, { weight: 1, arbitrary: fc.constantFrom('[0]', '[1]', '[-1]', '[7]') }),
      { maxLength: 2 },
    ),
    step,
  )
  .map(([rest, first]) => `asset.facts${first}${rest.join('')}`);
const labelPath = step.map((name) => `asset.labels${name}`);
const textLiteral = text.map(quote);
const numberLiteral = fc.constantFrom(...intLiterals, ...doubleLiterals);
const scalarLiteral = fc.oneof(textLiteral, numberLiteral, fc.constantFrom('true', 'false', 'null'));

interface Shapes {
  bool: string;
  text: string;
  number: string;
  dyn: string;
  constant: string;
}

/** Selectors that pass the type check by construction, of every form that selectors support. */
export const selectorArbitrary: fc.Arbitrary<string> = fc.letrec<Shapes>((untyped) => {
  const tie = (shape: keyof Shapes): fc.Arbitrary<string> => untyped(shape) as fc.Arbitrary<string>;
  const ordering = fc.constantFrom('<', '<=', '>', '>=', '==', '!=');
  const binary = (
    left: fc.Arbitrary<string>,
    operator: fc.Arbitrary<string>,
    right: fc.Arbitrary<string>,
  ): fc.Arbitrary<string> => fc.tuple(left, operator, right).map(([a, op, b]) => `(${a} ${op} ${b})`);
  const choice = (shape: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc.tuple(tie('bool'), shape, shape).map(([condition, a, b]) => `(${condition} ? ${a} : ${b})`);
  const method = fc.tuple(
    fc.oneof(tie('text'), tie('dyn')),
    fc.constantFrom('startsWith', 'endsWith', 'contains'),
    fc.oneof(tie('text'), tie('dyn')),
  );
  const list = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc.array(item, { maxLength: 4 }).map((items) => `[${items.join(', ')}]`);
  return {
    bool: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      fc.constantFrom('true', 'false', 'asset.quarantined'),
      binary(tie('text'), ordering, tie('text')),
      binary(tie('text'), ordering, tie('dyn')),
      binary(tie('dyn'), ordering, tie('text')),
      binary(tie('dyn'), ordering, tie('number')),
      binary(tie('number'), ordering, tie('dyn')),
      binary(tie('number'), ordering, tie('number')),
      binary(tie('dyn'), ordering, tie('dyn')),
      binary(tie('dyn'), fc.constantFrom('==', '!='), fc.oneof(tie('bool'), fc.constant('null'), tie('constant'))),
      binary(tie('bool'), fc.constantFrom('==', '!='), fc.oneof(tie('dyn'), tie('bool'))),
      binary(
        tie('text'),
        fc.constant('in'),
        fc.oneof(list(textLiteral), list(fc.oneof(textLiteral, tie('dyn'))), list(tie('text'))),
      ),
      binary(
        tie('number'),
        fc.constant('in'),
        fc.oneof(list(numberLiteral), list(fc.oneof(numberLiteral, tie('dyn')))),
      ),
      binary(
        tie('dyn'),
        fc.constant('in'),
        fc.oneof(
          list(textLiteral),
          list(numberLiteral),
          list(scalarLiteral),
          list(fc.oneof(scalarLiteral, tie('dyn'))),
        ),
      ),
      binary(tie('bool'), fc.constant('in'), list(fc.oneof(tie('bool'), tie('dyn')))),
      binary(
        fc.oneof(tie('text'), tie('dyn'), tie('number'), tie('bool'), tie('constant')),
        fc.constant('in'),
        tie('dyn'),
      ),
      binary(fc.oneof(tie('text'), tie('dyn')), fc.constant('in'), fc.constant('asset.labels')),
      binary(textLiteral, fc.constant('in'), fc.constantFrom('asset.labels', 'asset.facts')),
      fc
        .oneof(
          factPath,
          factPath,
          labelPath,
          fc.constantFrom(...textFields, 'quarantined', 'facts', 'labels').map((name) => `asset.${name}`),
        )
        .map((path) => `has(${path})`),
      method.map(([subject, name, part]) => `${subject}.${name}(${part})`),
      fc
        .array(fc.oneof(tie('bool'), tie('dyn')), { minLength: 2, maxLength: 4 })
        .map((parts) => `(${parts.join(' && ')})`),
      fc
        .array(fc.oneof(tie('bool'), tie('dyn')), { minLength: 2, maxLength: 4 })
        .map((parts) => `(${parts.join(' || ')})`),
      fc.oneof(tie('bool'), tie('dyn')).map((operand) => `!${operand}`),
      choice(tie('bool')),
    ),
    text: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      { weight: 3, arbitrary: fc.constantFrom(...textFields).map((field) => `asset.${field}`) },
      { weight: 3, arbitrary: textLiteral },
      { weight: 3, arbitrary: labelPath },
      { weight: 1, arbitrary: choice(tie('text')) },
    ),
    number: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      { weight: 4, arbitrary: numberLiteral },
      {
        weight: 1,
        arbitrary: fc
          .oneof(tie('dyn'), tie('text'), fc.constant('asset.labels'), tie('constant'))
          .map((subject) => `size(${subject})`),
      },
      { weight: 1, arbitrary: tie('dyn').map((operand) => `-${operand}`) },
      { weight: 1, arbitrary: choice(tie('number')) },
    ),
    dyn: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      { weight: 8, arbitrary: factPath },
      {
        weight: 1,
        arbitrary: fc.tuple(tie('bool'), tie('dyn'), tie('text')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
      },
      {
        weight: 1,
        arbitrary: fc.tuple(tie('bool'), tie('dyn'), scalarLiteral).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(tie('bool'), tie('dyn'), tie('dyn'), step)
          .map(([c, a, b, last]) => `(${c} ? ${a} : ${b})${last}`),
      },
    ),
    constant: fc.oneof(
      { maxDepth: 3 },
      list(scalarLiteral),
      fc
        .uniqueArray(key, { maxLength: 2 })
        .chain((names) =>
          fc
            .tuple(...names.map(() => fc.oneof(scalarLiteral, tie('constant'))))
            .map((values) => `{${names.map((name, i) => `${quote(name)}: ${String(values[i])}`).join(', ')}}`),
        ),
    ),
  };
}).bool;
