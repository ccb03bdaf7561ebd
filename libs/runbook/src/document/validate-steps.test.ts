import { describe, expect, it } from '@jest/globals';
import { briefOf, findingsOf, runbookText, short } from './testing.js';

/** Findings of a runbook with these steps. */
function brief(steps: string, more = ''): string[] {
  return briefOf(findingsOf(runbookText(short(steps), more === '' ? '' : short(more))));
}
function messages(steps: string, more = ''): string[] {
  return findingsOf(runbookText(short(steps), short(more))).map(({ message }) => message);
}
const inputs = 'inputs: { type: object, properties: { sites: { type: array }, name: { type: string } } }';

describe('nested steps', () => {
  it('finds nothing wrong with one of each kind', () => {
    const steps = `
- T(first)
- id: both
  parallel:
    left: [C(a)]
    right: [C(b)]
- id: each
  forEach:
    items: inputs.sites
    as: site
    concurrency: 2
    steps:
      - C(ask, item.site)
      - T(go, item.site + asset.name + string(steps.ask.status))
  outputs: { states: 'result.map(one, one.state)' }
- id: which
  choose:
    - when: steps.a.status == 200 && steps.b.status == 200
      steps: [C(good, steps.each.states)]
    - steps: [C(bad)]
- id: sub
  call: { runbook: other, inputs: { name: '\${{ inputs.name }}' } }
  outputs: { all: result }
- id: may
  approval: { message: 'Go on with \${{ inputs.name }}?', roles: [operator] }
- { id: pause, wait: { duration: 5m } }
- { id: night, wait: { until: '2026-03-01T02:30:00+01:00' } }
- id: ready
  wait: { uses: http.request, with: { url: 'https://x/' }, condition: result.status == 200, timeout: 5m }
  outputs: { status: result.status }
- id: told
  wait: { signal: released, payload: { type: object, properties: { by: { type: string } } } }
- id: careful
  try: [T(risky)]
  catch: [T(mend, error.code)]
  finally: [T(after)]
- id: once
  try: [C(call)]
  catch: [C(tell, error.message + error.step)]
- { id: last, uses: ssh.run, with: { argv: [x] }, onError: tidy, rollback: { uses: ssh.run, with: { argv: ['\${{ steps.last.stdout }}'] } } }
- { id: gone, uses: ssh.run, with: { argv: [x] }, rollback: { none: what is deleted is gone } }
`;
    const more = `${inputs}
handlers: { tidy: [T(sweep, error.code)] }
outputs: { status: steps.ready.status, by: steps.told.by }
summary: '\${{ run.counts.failed }} failed'
capacity: ['db:\${{ inputs.name }}', { key: site:ber, units: 2 }]
assetLock: exclusive`;
    expect(brief(steps, more)).toEqual(['?unknown-runbook spec.steps[4].call.runbook [other]']);
  });

  it('places what is wrong deep inside, in line and column', () => {
    const text = runbookText(
      `
- id: each
  forEach:
    items: [1, 2]
    as: n
    steps:
      - id: which
        choose:
          - when: item.m == 1
            steps:
              - { id: deep, uses: ssh.rum, with: { argv: [x] } }
              - { id: typo, uses: ssh.run, with: { argv: ['a \${{ inputs.nam }}'], argz: 3 } }
`,
      inputs,
    );
    const found = findingsOf(text).map(({ code, position }) => `${position?.line}:${position?.column} ${code}`);
    expect(found).toEqual(['15:23 unknown-item', '17:39 unknown-action', '18:70 unknown-input', '18:87 unknown-field']);
  });

  it('wants ids that are unique in the whole runbook, handlers included', () => {
    const steps = `
- T(one)
- { id: two, parallel: { a: [C(one)], b: [C(three)] } }
- { id: four, uses: ssh.run, with: { argv: [x] }, onError: mend }`;
    expect(brief(steps, 'handlers: { mend: [T(three)] }')).toEqual([
      'duplicate-step spec.handlers.mend[0].id [three]',
      'duplicate-step spec.steps[1].parallel.a[0].id [one]',
    ]);
    expect(messages(`- T(one)\n- T(one)`)).toEqual([
      'the id "one" is given twice; first at f.yaml:7:13; ids name steps for ever',
    ]);
  });

  it('bounds how many there are and how deep', () => {
    const nested = (depth: number): string =>
      depth === 0 ? 'C(inner)' : `{ id: s${depth}, try: [${nested(depth - 1)}] }`;
    expect(brief(`- ${nested(9)}`, 'targets: "true"')).toEqual([expect.stringContaining('?targets-unused')]);
    expect(brief(`- ${nested(10)}`)).toContainEqual(expect.stringContaining('steps-too-deep'));
    const many = (count: number): string => Array.from({ length: count }, (_, index) => `T(x${index})`).join(', ');
    const branches = `- { id: p, parallel: { a: [${many(150)}], b: [${many(150).replaceAll('x', 'y')}], c: [${many(200).replaceAll('x', 'z')}] } }`;
    expect(brief(branches)).toEqual(['too-many-steps spec.steps[0].parallel.c[199].id [z199]']);
  });
});

describe('what a kind of step is', () => {
  it.each([
    ['- { id: a }', ['step-kind spec.steps[0] [{ id: a }]']],
    ['- { id: a, usse: ssh.run, with: {} }', ['step-kind spec.steps[0].usse [usse] uses']],
    ['- { id: a, foreach: { items: [1] } }', ['step-kind spec.steps[0].foreach [foreach] forEach']],
    ['- { id: a, try: [T(b)], wait: { duration: 5s } }', ['step-kind spec.steps[0].try [try]']],
    ['- { id: a, try: [T(b)], cach: [T(c)] }', ['unknown-field spec.steps[0].cach [cach] catch']],
    [
      '- { id: a, parallel: { left: [C(b)] } }',
      [
        "invalid-value spec.steps[0].parallel [{ left: [{ id: b, uses: http.request, with: { url: 'https://x/', body: 'x' } }] }]",
      ],
    ],
    [
      '- { id: a, parallel: [C(b)] }',
      ["wrong-type spec.steps[0].parallel [[{ id: b, uses: http.request, with: { url: 'https://x/', body: 'x' } }]]"],
    ],
    [
      '- { id: a, forEach: { items: [1], as: n, steps: [{ id: b, uses: ssh.run, wiht: {} }] } }',
      [
        'unknown-field spec.steps[0].forEach.steps[0].wiht [wiht] with',
        'missing-field spec.steps[0].forEach.steps[0].with.argv []',
      ],
    ],
    ['- { id: a, forEach: { items: [1], steps: [T(b)] } }', ['missing-field spec.steps[0].forEach.as []']],
    ['- { id: a, choose: [{ wen: "true", steps: [T(b)] }] }', ['unknown-field spec.steps[0].choose[0].wen [wen] when']],
    [
      '- { id: a, wait: { durration: 5s } }',
      [
        'missing-field spec.steps[0].wait.duration []',
        'unknown-field spec.steps[0].wait.durration [durration] duration',
      ],
    ],
    ['- { id: a, wait: { signal: x, payload: 3 } }', ['wrong-type spec.steps[0].wait.payload [3]']],
    ['- { id: a, call: { runbook: x, target: own } }', ['unknown-field spec.steps[0].call.target [target] targets']],
    ['- { id: a, approval: { rolls: [admin] } }', ['unknown-field spec.steps[0].approval.rolls [rolls] roles']],
    ['- { id: a, approval: { roles: [amin] } }', ['invalid-value spec.steps[0].approval.roles[0] [amin] admin']],
    [
      '- { id: a, uses: ssh.run, with: { argv: [x] }, rollback: { use: ssh.run } }',
      ['missing-field spec.steps[0].rollback.uses []', 'unknown-field spec.steps[0].rollback.use [use] uses'],
    ],
  ])('%s', (steps, expected) => {
    expect(brief(steps)).toEqual(expected);
  });
});

describe('what a step may read', () => {
  it.each([
    [
      'parallel: only its own branch and what was before',
      '- C(z)\n- { id: p, parallel: { a: [C(x), C(x2, steps.x.status + steps.z.status)], b: [C(y, steps.x.status)] } }',
      ['unknown-step spec.steps[1].parallel.b[0].with.body [steps.x.status]'],
    ],
    [
      'after parallel: all branches',
      '- { id: p, parallel: { a: [C(x)], b: [C(y)] } }\n- C(z, steps.x.status + steps.y.status)',
      [],
    ],
    [
      'an iteration: its own steps',
      '- { id: e, forEach: { items: [1], as: n, steps: [C(x), C(y, steps.x.status)] } }',
      [],
    ],
    [
      'after forEach: its outputs only',
      '- { id: e, forEach: { items: [1], as: n, steps: [C(x)] }, outputs: { n: size(result) } }\n- C(y, steps.e.n + steps.x.status)',
      ['unknown-step spec.steps[1].with.body [steps.x.status]'],
    ],
    [
      'forEach without outputs',
      '- { id: e, forEach: { items: [1], as: n, steps: [C(x)] } }\n- C(y, steps.e.n)',
      ['unknown-output spec.steps[1].with.body [steps.e.n]'],
    ],
    ['item outside', '- C(y, item.n)', ['unknown-item spec.steps[0].with.body [item.n]']],
    [
      'item of another name',
      '- { id: e, forEach: { items: [1], as: site, steps: [C(x, item.sit)] } }',
      ['unknown-item spec.steps[0].forEach.steps[0].with.body [item.sit] site'],
    ],
    [
      'a branch that may not have been chosen',
      '- { id: c, choose: [{ when: run.x, steps: [C(x)] }, { steps: [C(y, steps.x.status)] }] }\n- C(z, steps.x.status)',
      [
        'unknown-step spec.steps[0].choose[1].steps[0].with.body [steps.x.status]',
        '?output-may-be-missing spec.steps[1].with.body [steps.x.status]',
      ],
    ],
    [
      'asked first',
      '- { id: c, choose: [{ when: run.x, steps: [C(x)] }] }\n- C(z, has(steps.x.status) ? steps.x.status : 0)\n- { id: q, if: has(steps.x.status), try: [C(zz, steps.x.status)] }',
      [],
    ],
    [
      'catch reads the body',
      '- { id: t, try: [C(x)], catch: [C(y, steps.x.status)], finally: [C(z, has(steps.y.status))] }',
      ['?output-may-be-missing spec.steps[0].catch[0].with.body [steps.x.status]'],
    ],
    [
      'error outside of catch',
      '- { id: t, try: [C(x, error.code)], catch: [C(y, error.cod)], finally: [C(z, error.code)] }',
      [
        'error-outside-catch spec.steps[0].finally[0].with.body [error.code]',
        'error-outside-catch spec.steps[0].try[0].with.body [error.code]',
        'invalid-expression spec.steps[0].catch[0].with.body [error.cod] code',
      ],
    ],
    ['after try without catch', '- { id: t, try: [C(x)] }\n- C(y, steps.x.status)', []],
    [
      'the step around',
      '- { id: t, try: [C(x, steps.t.x)] }',
      ['unknown-step spec.steps[0].try[0].with.body [steps.t.x]'],
    ],
    [
      'targets at the run level',
      '- T(t)\n- { id: c, choose: [{ when: steps.t.stdout == "x", steps: [T(u)] }] }',
      ['target-output-at-run-level spec.steps[1].choose[0].when [steps.t.stdout]'],
    ],
    [
      'counters on targets, and of a state that is none',
      '- T(t, run.counts.failed)\n- C(c, run.counts.faild)',
      [
        'counts-at-target-level spec.steps[0].with.argv[0] [run.counts.failed]',
        'invalid-expression spec.steps[1].with.body [run.counts.faild] failed',
      ],
    ],
    [
      'asset in when',
      '- { id: c, choose: [{ when: asset.site == "ber", steps: [T(u)] }] }',
      ['asset-at-run-level spec.steps[0].choose[0].when [asset.site]'],
    ],
    [
      'asset in if of a try on targets',
      '- { id: t, if: asset.site == "ber", try: [T(u)] }',
      ['asset-at-run-level spec.steps[0].if [asset.site]'],
    ],
    [
      'a signal reads its payload',
      '- { id: w, wait: { signal: s, payload: { type: object, additionalProperties: false, properties: { by: {} } } } }\n- C(y, steps.w.bye)',
      ['unknown-output spec.steps[1].with.body [steps.w.bye] by'],
    ],
    [
      'a pause has no outputs',
      '- { id: w, wait: { duration: 5s } }\n- C(y, steps.w.x)',
      ['unknown-output spec.steps[1].with.body [steps.w.x]'],
    ],
    [
      'outputs read result only',
      '- { id: w, wait: { signal: s }, outputs: { a: result.x, b: inputs.x } }',
      ['invalid-expression spec.steps[0].wait.outputs'.replace('.wait', '') + '.b [inputs.x] result'],
    ],
    [
      'a result has the members of its action, payload or loop',
      [
        '- { id: a, uses: ssh.run, with: { argv: [x] }, outputs: { a: result.stdot, b: result.stdout.size(), c: "result" } }',
        '- { id: w, wait: { uses: http.request, with: { url: "https://x/" }, condition: result.statuss == 200 }, outputs: { s: result.boddy } }',
        '- { id: s, wait: { signal: s, payload: { type: object, additionalProperties: false, properties: { by: {} } } }, outputs: { b: result.bye } }',
        '- { id: o, wait: { signal: o, payload: { type: object } }, outputs: { b: result.bye } }',
        '- { id: e, forEach: { items: [1], as: one, steps: [C(x)] }, outputs: { k: "result.map(one, one.key)" } }',
      ].join('\n'),
      [
        'unknown-output spec.steps[0].outputs.a [result.stdot] stdout',
        'unknown-output spec.steps[1].wait.condition [result.statuss] status',
        'unknown-output spec.steps[1].outputs.s [result.boddy]',
        'unknown-output spec.steps[2].outputs.b [result.bye] by',
      ],
    ],
    [
      'a rollback reads the step itself',
      '- { id: a, uses: ssh.run, with: { argv: ["${{ steps.a.stdout }}"] }, rollback: { uses: ssh.run, with: { argv: ["${{ steps.a.stdout }}", "${{ steps.b.x }}"] } } }\n- T(b)',
      [
        'unknown-step spec.steps[0].rollback.with.argv[1] [steps.b.x]',
        'unknown-step spec.steps[0].with.argv[0] [steps.a.stdout]',
      ],
    ],
  ])('%s', (_name, steps, expected) => {
    const found = brief(steps).filter((one) => !one.startsWith('?targets-unused'));
    expect(found.sort()).toEqual([...expected].sort());
  });

  it('at the end: outputs and summary of the run level', () => {
    const more = `outputs: { a: steps.c.status, b: steps.t.stdout, c: '\${{ inputs.name }}', d: asset.name, e: steps.x.status }
summary: '\${{ steps.t.stdout }}'
capacity: ['x:\${{ steps.c.status }}']`;
    const steps = `- T(t)\n- C(c)\n- { id: e, forEach: { items: [1], as: n, steps: [C(x)] } }`;
    expect(brief(steps, more)).toEqual([
      'target-output-at-run-level spec.outputs.b [steps.t.stdout]',
      "invalid-expression spec.outputs.c ['${{ inputs.name }}'] inputs.name",
      'asset-at-run-level spec.outputs.d [asset.name]',
      'unknown-step spec.outputs.e [steps.x.status]',
      'target-output-at-run-level spec.summary [steps.t.stdout]',
      'unknown-step spec.capacity[0] [steps.c.status]',
    ]);
  });
});
