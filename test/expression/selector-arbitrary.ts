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

/** The forms of expression that are made of each other, by what they yield. */
type Shape = 'bool' | 'text' | 'number' | 'dyn' | 'constant';
type Tie = (shape: Shape) => fc.Arbitrary<string>;
type Source = fc.Arbitrary<string>;

const binary = (left: Source, operator: Source, right: Source): Source =>
  fc.tuple(left, operator, right).map(([a, op, b]) => `(${a} ${op} ${b})`);
const choice = (tie: Tie, whenTrue: Source, whenFalse: Source): Source =>
  fc.tuple(tie('bool'), whenTrue, whenFalse).map(([condition, a, b]) => `(${condition} ? ${a} : ${b})`);
const list = (item: Source): Source => fc.array(item, { maxLength: 4 }).map((items) => `[${items.join(', ')}]`);

function comparisons(tie: Tie): Source {
  const ordering = fc.constantFrom('<', '<=', '>', '>=', '==', '!=');
  const equality = fc.constantFrom('==', '!=');
  return fc.oneof(
    binary(tie('text'), ordering, tie('text')),
    binary(tie('text'), ordering, tie('dyn')),
    binary(tie('dyn'), ordering, tie('text')),
    binary(tie('dyn'), ordering, tie('number')),
    binary(tie('number'), ordering, tie('dyn')),
    binary(tie('number'), ordering, tie('number')),
    binary(tie('dyn'), ordering, tie('dyn')),
    binary(tie('dyn'), equality, fc.oneof(tie('bool'), fc.constant('null'), tie('constant'))),
    binary(tie('bool'), equality, fc.oneof(tie('dyn'), tie('bool'))),
  );
}

function memberships(tie: Tie): Source {
  const isIn = fc.constant('in');
  const orDyn = (item: Source): Source => fc.oneof(item, tie('dyn'));
  const any = fc.oneof(tie('text'), tie('dyn'), tie('number'), tie('bool'), tie('constant'));
  return fc.oneof(
    binary(tie('text'), isIn, fc.oneof(list(textLiteral), list(orDyn(textLiteral)), list(tie('text')))),
    binary(tie('number'), isIn, fc.oneof(list(numberLiteral), list(orDyn(numberLiteral)))),
    binary(tie('dyn'), isIn, fc.oneof(list(textLiteral), list(numberLiteral), list(scalarLiteral))),
    binary(tie('dyn'), isIn, list(orDyn(scalarLiteral))),
    binary(tie('bool'), isIn, list(orDyn(tie('bool')))),
    binary(any, isIn, tie('dyn')),
    binary(orDyn(tie('text')), isIn, fc.constant('asset.labels')),
    binary(textLiteral, isIn, fc.constantFrom('asset.labels', 'asset.facts')),
  );
}

function tests(tie: Tie): Source {
  const field = fc.constantFrom(...textFields, 'quarantined', 'facts', 'labels').map((name) => `asset.${name}`);
  const text = fc.oneof(tie('text'), tie('dyn'));
  const method = fc.tuple(text, fc.constantFrom('startsWith', 'endsWith', 'contains'), text);
  return fc.oneof(
    fc.oneof(factPath, factPath, labelPath, field).map((path) => `has(${path})`),
    method.map(([subject, name, part]) => `${subject}.${name}(${part})`),
  );
}

function junctions(tie: Tie): Source {
  const operand = fc.oneof(tie('bool'), tie('dyn'));
  const operands = fc.array(operand, { minLength: 2, maxLength: 4 });
  return fc.oneof(
    operands.map((parts) => `(${parts.join(' && ')})`),
    operands.map((parts) => `(${parts.join(' || ')})`),
    operand.map((negated) => `!${negated}`),
    choice(tie, tie('bool'), tie('bool')),
  );
}

function numbersOf(tie: Tie): Source {
  const sized = fc.oneof(tie('dyn'), tie('text'), fc.constant('asset.labels'), tie('constant'));
  return fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    { weight: 4, arbitrary: numberLiteral },
    { weight: 1, arbitrary: sized.map((subject) => `size(${subject})`) },
    { weight: 1, arbitrary: tie('dyn').map((operand) => `-${operand}`) },
    { weight: 1, arbitrary: choice(tie, tie('number'), tie('number')) },
  );
}

function dynsOf(tie: Tie): Source {
  const part = fc.tuple(choice(tie, tie('dyn'), tie('dyn')), step).map(([chosen, last]) => `${chosen}${last}`);
  return fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    { weight: 8, arbitrary: factPath },
    { weight: 1, arbitrary: choice(tie, tie('dyn'), tie('text')) },
    { weight: 1, arbitrary: choice(tie, tie('dyn'), scalarLiteral) },
    { weight: 1, arbitrary: part },
  );
}

function constantsOf(tie: Tie): Source {
  const value = fc.oneof(scalarLiteral, tie('constant'));
  const entries = fc.uniqueArray(fc.tuple(key.map(quote), value), { maxLength: 2, selector: ([name]) => name });
  return fc.oneof(
    { maxDepth: 3 },
    list(scalarLiteral),
    entries.map((pairs) => `{${pairs.map((pair) => pair.join(': ')).join(', ')}}`),
  );
}

/** Selectors that pass the type check by construction, of every form that selectors support. */
export const selectorArbitrary: Source = fc.letrec<Record<Shape, string>>((untyped) => {
  const tie: Tie = (shape) => untyped(shape);
  return {
    bool: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      { weight: 1, arbitrary: fc.constantFrom('true', 'false', 'asset.quarantined') },
      { weight: 9, arbitrary: comparisons(tie) },
      { weight: 8, arbitrary: memberships(tie) },
      { weight: 2, arbitrary: tests(tie) },
      { weight: 4, arbitrary: junctions(tie) },
    ),
    text: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      { weight: 3, arbitrary: fc.constantFrom(...textFields).map((field) => `asset.${field}`) },
      { weight: 3, arbitrary: textLiteral },
      { weight: 3, arbitrary: labelPath },
      { weight: 1, arbitrary: choice(tie, tie('text'), tie('text')) },
    ),
    number: numbersOf(tie),
    dyn: dynsOf(tie),
    constant: constantsOf(tie),
  };
}).bool;
