import { describe, expect, it } from '@jest/globals';
import { briefOf, findingsOf, runbookText, short } from './testing.js';

/** Findings of a runbook with these steps. */
function brief(steps: string, more = ''): string[] {
  return briefOf(findingsOf(runbookText(short(steps), more === '' ? '' : short(more))));
}

describe('what fits where', () => {
  it.each([
    [
      'target steps in a catch of the run',
      '- { id: t, try: [C(x)], catch: [T(y)], finally: [{ id: e, forEach: { items: [1], as: n, steps: [{ id: f, try: [T(z)] }] } }] }',
      ['targets-in-catch spec.steps[0].catch[0]', 'targets-in-catch spec.steps[0].finally[0].forEach.steps[0]'],
    ],
    [
      'a try with target steps only',
      '- { id: t, try: [T(x), { id: u, try: [T(v)], catch: [T(w)] }], catch: [T(y)], finally: [T(z)] }',
      [],
    ],
    [
      'capacity and conditions inside of a try on targets',
      '- { id: t, capacity: ["k:a"], try: [{ id: x, uses: ssh.run, with: { argv: [x] }, capacity: ["k:a"] }, { id: u, if: run.x, try: [T(v)] }] }',
      ['capacity-in-try spec.steps[0].try[0].capacity', 'condition-in-try spec.steps[0].try[1].if'],
    ],
    [
      'a branch without when',
      '- { id: c, choose: [{ steps: [T(x)] }, { when: run.x, steps: [T(y)] }] }',
      ['choose-order spec.steps[0].choose[0]'],
    ],
    [
      'items that are no list',
      '- { id: e, forEach: { items: "\'a\'", as: n, steps: [T(x)] } }',
      ['for-each-items spec.steps[0].forEach.items'],
    ],
    [
      'items with expressions',
      '- { id: e, forEach: { items: ["${{ run.id }}", "${{ asset.name }}"], as: n, steps: [T(x)] } }',
      ['asset-at-run-level spec.steps[0].forEach.items[1]'],
    ],
    [
      'shadowed items',
      '- { id: e, forEach: { items: [1], as: n, steps: [{ id: f, forEach: { items: [2], as: n, steps: [T(x)] } }] } }',
      ['item-shadowed spec.steps[0].forEach.steps[0].forEach.as'],
    ],
    [
      'nobody may approve',
      '- { id: a, approval: { escalate: { after: 2d } } }',
      [
        'approval-nobody spec.steps[0].approval',
        'approval-nobody spec.steps[0].approval.escalate',
        'escalation-too-late spec.steps[0].approval.escalate.after',
      ],
    ],
    [
      'too few may approve',
      '- { id: a, approval: { principals: [ada, bob], quorum: 3 } }\n- { id: b, approval: { principals: [ada], quorum: 2, escalate: { after: 1h, roles: [admin] } } }',
      ['approval-quorum spec.steps[0].approval.quorum'],
    ],
    [
      'a wait longer than the run',
      '- { id: w, wait: { duration: 24h } }',
      ['wait-too-long spec.steps[0].wait.duration'],
    ],
    [
      'until when',
      '- { id: w, wait: { until: 2026-02-30T00:00:00Z } }\n- { id: v, wait: { until: 2026-02-03T00:00:00 } }\n- { id: u, wait: { until: "${{ inputs.x" } }',
      [
        'invalid-value spec.steps[0].wait.until',
        'invalid-value spec.steps[1].wait.until',
        'invalid-expression spec.steps[2].wait.until',
      ],
    ],
    [
      'what a wait repeats',
      '- { id: w, wait: { uses: ssh.run, with: { argv: [x] }, condition: result.exitCode == 0 } }\n- { id: v, wait: { uses: http.request, with: { url: "https://x", effect: mutating }, condition: inputs.x } }',
      [
        'wait-scope spec.steps[0].wait.uses',
        'invalid-expression spec.steps[1].wait.condition',
        '?wait-effect spec.steps[1].wait.uses',
      ],
    ],
    [
      'the schema of a payload',
      '- { id: w, wait: { signal: s, payload: { type: object, propertes: {} } } }',
      ['invalid-inputs-schema spec.steps[0].wait.payload.propertes'],
    ],
    [
      'keys of capacity',
      '- { id: a, uses: ssh.run, with: { argv: [x] }, capacity: ["a b", "db:c", { key: "db:c" }, "x:${{ asset.site }}", "${{ run.id }}", plain] }',
      [
        'capacity-key spec.steps[0].capacity[0]',
        'capacity-key spec.steps[0].capacity[5]',
        'capacity-twice spec.steps[0].capacity[2].key',
        'asset-at-run-level spec.steps[0].capacity[3]',
      ],
    ],
    [
      'rollbacks',
      '- { id: a, uses: ssh.run, with: { argv: [x] }, rollback: { uses: http.request, with: { url: 3 } } }\n- { id: b, uses: ssh.run, with: { argv: [x] }, rollback: { uses: ssh.rum, with: {} } }',
      [
        'rollback-scope spec.steps[0].rollback.uses',
        'wrong-type spec.steps[0].rollback.with.url',
        'unknown-action spec.steps[1].rollback.uses',
      ],
    ],
  ])('%s', (_name, steps, expected) => {
    const found = findingsOf(runbookText(short(steps)));
    const brief = found.map(({ severity, code, path }) => `${severity === 'warning' ? '?' : ''}${code} ${path}`);
    expect(brief.filter((one) => !one.startsWith('?targets-unused')).sort()).toEqual([...expected].sort());
  });
});

describe('handlers', () => {
  const step = (id: string, onError: string): string =>
    `{ id: ${id}, uses: ssh.run, with: { argv: [x] }, onError: ${onError} }`;

  it('are known, used, of one level with whom they serve, and without circles', () => {
    expect(
      brief(`- ${step('a', 'contnue')}\n- ${step('b', 'mends')}`, 'handlers: { mend: [T(x)], fail: [T(y)] }'),
    ).toEqual([
      '?handler-unused spec.handlers.mend [mend]',
      'handler-name spec.handlers.fail [fail]',
      'unknown-handler spec.steps[0].onError [contnue] continue',
      'unknown-handler spec.steps[1].onError [mends] mend',
    ]);
    expect(
      brief(
        `- ${step('a', 'mixed')}\n- { id: w, wait: { duration: 5s }, onError: mixed }`,
        'handlers: { mixed: [T(x), C(y)] }',
      ),
    ).toEqual([
      expect.stringContaining('targets-in-catch spec.handlers.mixed[0]'),
      'handler-level spec.steps[0].onError [mixed]',
      'handler-level spec.steps[1].onError [mixed]',
    ]);
    // A step that says nothing fails the run, whatever a handler is called.
    expect(brief('- T(a)', 'handlers: { fail: [T(y)], continue: [T(z)] }').sort()).toEqual([
      'handler-name spec.handlers.continue [continue]',
      'handler-name spec.handlers.fail [fail]',
    ]);
    const circle = `handlers: { one: [${step('x', 'two')}], two: [${step('y', 'one')}] }`;
    expect(brief(`- ${step('a', 'one')}`, circle)).toEqual(['handler-cycle spec.handlers.one [one]']);
  });

  it('read what is known to all who name them', () => {
    const steps = `
- C(early)
- ${step('a', 'mend')}
- C(between)
- { id: e, forEach: { items: [1], as: n, steps: [${step('b', 'mend')}] } }`;
    const handler = `handlers: { mend: [T(x, steps.early.status), T(y, steps.between.status), T(z, item.n), T(u, steps.x.stdout)] }`;
    expect(brief(steps, handler)).toEqual([
      'unknown-step spec.handlers.mend[1].with.argv[0] [steps.between.status]',
      'unknown-item spec.handlers.mend[2].with.argv[0] [item.n]',
    ]);
    expect(brief(`- ${step('a', 'mend')}\n- T(b, steps.x.stdout)`, 'handlers: { mend: [T(x, error.code)] }')).toEqual([
      'unknown-step spec.steps[1].with.argv[0] [steps.x.stdout]',
    ]);
  });

  it('that multiply each other are refused before they are laid out', () => {
    const chain = Array.from(
      { length: 30 },
      (_, index) => `  h${index}: [${step(`a${index}`, `h${index + 1}`)}, ${step(`b${index}`, `h${index + 1}`)}]`,
    ).join('\n');
    expect(brief(`- ${step('a', 'h0')}`, `handlers:\n${chain}\n  h30: [T(end)]`)).toEqual([
      'too-many-steps spec.handlers [handlers]',
    ]);
  });
});

describe('calls', () => {
  const call = (body: string): string => `- { id: sub, call: { ${body} } }\n- C(read, steps.sub.version)`;
  const all = (...texts: string[]): string[] =>
    briefOf(findingsOf(texts.join('---\n'))).filter((one) => !one.startsWith('?targets-unused'));
  const called = runbookText(
    '- { id: x, uses: ssh.run, with: { argv: [x] } }',
    'inputs: { type: object, required: [name], additionalProperties: false, properties: { name: { type: string }, n: { type: integer } } }\noutputs: { versions: inputs.name }',
    'called',
  );

  it('are checked against the runbook that they call, wherever it stands', () => {
    expect(all(runbookText(short(call('runbook: called, inputs: { nam: x, n: "${{ run.n }}" }'))), called)).toEqual([
      expect.stringContaining('invalid-inputs spec.steps[0].call.inputs.name'),
      'invalid-inputs spec.steps[0].call.inputs.nam [nam] name',
      'unknown-output spec.steps[1].with.body [steps.sub.version] versions',
    ]);
    expect(
      all(
        runbookText(short(call('runbook: called, inputs: { name: 3 }, targets: inherit, on: asset.nam == "x"'))),
        called,
      ),
    ).toEqual([
      'invalid-inputs spec.steps[0].call.inputs.name [name]',
      'invalid-expression spec.steps[0].call.on [nam] name',
      'unknown-output spec.steps[1].with.body [steps.sub.version] versions',
    ]);
  });

  it('come back to no runbook that is on the way', () => {
    const calls = (name: string, other: string): string =>
      runbookText(`- { id: sub, call: { runbook: ${other} } }`, '', name);
    expect(all(calls('a', 'a'))).toEqual(['call-cycle spec.steps[0].call.runbook [a]']);
    const circle = findingsOf([calls('a', 'b'), calls('b', 'c'), calls('c', 'a')].join('---\n'));
    expect(circle.filter(({ code }) => code === 'call-cycle').map(({ message }) => message)).toEqual([
      'the call comes back to this runbook: a -> b -> c -> a',
      'the call comes back to this runbook: b -> c -> a -> b',
      'the call comes back to this runbook: c -> a -> b -> c',
    ]);
  });
});

describe('messages', () => {
  const messages = (steps: string): string[] =>
    findingsOf(runbookText(steps, 'inputs: { type: object }'))
      .filter(({ severity }) => severity === 'error')
      .map(({ path, message, suggestion }) => `${path}: ${message}${suggestion ? ` -> ${suggestion}` : ''}`);
  const kinds = 'a wait is for one thing: give exactly one of duration, until, signal, uses';

  it.each([
    ['{ duration: 5s, until: tomorrow }', [`spec.steps[0].wait.until: ${kinds}`]],
    ['{}', [`spec.steps[0].wait: ${kinds}`]],
    ['{ every: 5s }', [`spec.steps[0].wait: ${kinds}`]],
    [
      '{ signal: go, tmeout: 5s }',
      ['spec.steps[0].wait.tmeout: "wait" has no field "tmeout"; known fields are signal, payload, timeout -> timeout'],
    ],
    [
      '{ signal: go, payload: { type: strng } }',
      ['spec.steps[0].wait.payload.type: the payload is an object: say "type: object"'],
    ],
  ])('of wait: %s', (wait, expected) => {
    const found = messages(`- { id: w, wait: ${wait} }`).filter((message) => message.includes('.wait'));
    expect(found).toEqual(expected);
  });

  it('name as known what is known where the expression stands', () => {
    const ask = (id: string): string => `{ id: ${id}, approval: { message: '\${{ asst.name }}', roles: [operator] } }`;
    const known = (steps: string): string[] =>
      messages(steps).flatMap((message) => /known here: [^(]*/.exec(message)?.[0].trim() ?? []);
    expect(known(`- ${ask('ask')}`)).toEqual(['known here: inputs, run, steps']);
    expect(known(`- { id: e, forEach: { items: [1], as: i, steps: [${ask('ask')}] } }`)).toEqual([
      'known here: inputs, run, steps, item',
    ]);
    expect(known(`- { id: t, try: [${ask('a')}], catch: [${ask('b')}] }`)).toEqual([
      'known here: inputs, run, steps',
      'known here: inputs, run, steps, error',
    ]);
  });
});
