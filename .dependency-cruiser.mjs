// The import table of the architecture, enforced: who may import what, between rooms.
// Imports of other rooms are resolved through node_modules links into their `dist`.

/** A room's source, and its compiled form as other rooms see it. */
const room = (...names) => `^(${names.join('|')})/(src|dist)/`;

const contracts = 'libs/contracts';
const expression = 'libs/expression';
const calendar = 'libs/calendar';
const runbook = 'libs/runbook';
const inventory = 'libs/inventory';
const config = 'libs/config';
const database = 'libs/database';
const security = 'libs/security';
const temporal = 'libs/temporal';
const drivers = 'libs/drivers';
const operations = 'libs/operations';
const all = [
  contracts,
  expression,
  calendar,
  runbook,
  inventory,
  config,
  database,
  security,
  temporal,
  drivers,
  operations,
];
const roots = ['activities', 'workflows', 'migrations', 'apps/api', 'apps/worker', 'apps/cli', 'apps/web'];

/** The pure, compiled halves that some rooms offer to all. */
const ACTION_CONTRACTS = '^activities/(src|dist)/(contracts\\.|.*\\.contract\\.)';
const VERIFY = '^libs/security/(src|dist)/(verify|audit/)';
const TESTS = '\\.(test|spec)\\.ts$|/fixtures/|^apps/[^/]+/src/.*/testing/';

/** `from` may import, of all rooms, only itself and those listed. */
function mayImport(from, allowed, exceptions = [], dependencyTypesNot = []) {
  const rooms = [...all, ...roots];
  return {
    name: `${from.replace(/^(libs|apps)\//, '')}-imports`,
    comment: `${from} may import only: ${[...allowed, ...exceptions].join(', ') || 'no other room'}`,
    severity: 'error',
    from: { path: `^${from}/src/`, pathNot: TESTS },
    to: {
      path: room(...rooms.filter((name) => name !== from && !allowed.includes(name))),
      ...(exceptions.length > 0 ? { pathNot: exceptions } : {}),
      ...(dependencyTypesNot.length > 0 ? { dependencyTypesNot } : {}),
    },
  };
}

const pureRooms = [contracts, expression, calendar, runbook, inventory];

export default {
  forbidden: [
    mayImport(contracts, []),
    mayImport(expression, [contracts]),
    mayImport(calendar, [contracts, expression]),
    mayImport(runbook, [contracts, expression, calendar]),
    mayImport(inventory, [contracts, expression]),
    ...[database, security, temporal, drivers, config].map((name) => mayImport(name, [contracts, expression])),
    mayImport(
      operations,
      [contracts, expression, calendar, runbook, inventory, database, security, temporal],
      [ACTION_CONTRACTS],
    ),
    mayImport('activities', all),
    // Types of activities vanish at compilation.
    mayImport('workflows', [contracts, expression, runbook], [ACTION_CONTRACTS], ['type-only']),
    mayImport('migrations', []),
    mayImport(
      'apps/api',
      [...pureRooms, config, operations, database, security, temporal, 'migrations'],
      [ACTION_CONTRACTS],
    ),
    mayImport('apps/worker', [...all, 'activities', 'workflows', 'migrations']),
    // `fettle up` alone starts processes and makes the keys of a local stack.
    mayImport('apps/cli', [...pureRooms, config], [ACTION_CONTRACTS, VERIFY, '^libs/security/(src|dist)/']),
    {
      name: 'cli-security',
      comment: 'the CLI takes of security only what verifies; making keys and tokens is for `fettle up`',
      severity: 'error',
      from: { path: '^apps/cli/src/', pathNot: ['^apps/cli/src/up/', TESTS] },
      to: { path: room(security), pathNot: [VERIFY] },
    },
    {
      name: 'up-stands-alone',
      comment: '`fettle up` is compiled apart and needs nothing of the other commands, only the demo that it loads',
      severity: 'error',
      from: { path: '^apps/cli/src/up/' },
      to: { path: '^apps/cli/src/(?!up/|demo/)' },
    },
    {
      name: 'processes-only-in-up',
      comment: 'of the CLI, only `fettle up` starts processes',
      severity: 'error',
      from: { path: '^apps/cli/src/', pathNot: ['^apps/cli/src/up/', TESTS] },
      to: { path: '^(node:)?child_process$' },
    },
    {
      name: 'pure-rooms',
      comment: 'a pure room runs anywhere: in the workflow sandbox, in a browser, offline',
      severity: 'error',
      from: { path: `^(${pureRooms.join('|')})/src/`, pathNot: TESTS },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-rooms-no-frameworks',
      severity: 'error',
      from: { path: `^(${pureRooms.join('|')}|workflows)/src/`, pathNot: TESTS },
      to: { path: 'node_modules/(@nestjs|typeorm|pg|ssh2|@temporalio/(client|worker|activity))/' },
    },
    {
      name: 'workflows-are-deterministic',
      comment: 'workflow code is replayed: nothing that does I/O, no zone data (calendar) that changes under replay',
      severity: 'error',
      from: { path: '^workflows/src/', pathNot: TESTS },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'action-contracts-are-pure',
      severity: 'error',
      from: { path: '^activities/src/(contracts\\.ts|.*\\.contract\\.ts)$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'action-contracts-imports',
      comment: 'an action contract knows contracts, expression and its like',
      severity: 'error',
      from: { path: '^activities/src/(contracts\\.ts|.*\\.contract\\.ts)$' },
      to: {
        path: `${room(...all.filter((name) => name !== contracts && name !== expression), ...roots)}`,
        pathNot: [ACTION_CONTRACTS, '/src/(contract|schema)s?/'],
      },
    },
    {
      name: 'verify-is-offline',
      comment: 'an auditor runs it without database and network',
      severity: 'error',
      from: { path: '^libs/security/src/(verify\\.ts|audit/)', pathNot: TESTS },
      to: { path: '^(node:)?(fs|net|http|https|tls|child_process|dgram|worker_threads)(/|$)' },
    },
    {
      name: 'no-nest-below-the-apps',
      severity: 'error',
      from: { path: '^(libs|activities|workflows|migrations)/', pathNot: TESTS },
      to: { path: 'node_modules/@nestjs/' },
    },
    {
      name: 'no-cycles',
      comment: 'two files that need each other are one, or need a third',
      severity: 'error',
      from: { pathNot: TESTS },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-test-code-in-programs',
      severity: 'error',
      from: { pathNot: [TESTS, '^(test|bench)/'] },
      to: { path: [TESTS, '^(test|bench)/'] },
    },
    // Of tests and benchmarks the compiler checks it.
    { name: 'resolvable', severity: 'error', from: { pathNot: '^(test|bench)/' }, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },

    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.lint.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'import', 'default', 'require'],
      mainFields: ['module', 'main', 'types'],
    },
    detectJSDocImports: false,
    combinedDependencies: true,
  },
};
