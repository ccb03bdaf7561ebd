import { describe, expect, it } from '@jest/globals';
import { FettleError, type Finding } from '@fettle/contracts';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatFinding } from './format-finding.js';
import { parseDocuments } from './parse-documents.js';
import { testActions as actions } from './testing.js';
import { validateDocuments } from './validate-documents.js';

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)), 'utf8');

const validateCron = (cron: string): void => {
  if (/^[\d*/, -]+$/.test(cron)) return;
  throw new FettleError({
    code: 'invalid-schedule',
    message: 'no hour is called so (at 1:4)',
    position: { line: 1, column: 4 },
  });
};
const validateTimeZone = (zone: string): void => {
  if (zone === 'UTC' || zone === 'Europe/Berlin') return;
  throw new FettleError({
    code: 'invalid-time-zone',
    message: 'no such zone',
    detail: { suggestion: 'Europe/Berlin' },
  });
};

function check(text: string): readonly Finding[] {
  const parsed = parseDocuments(text, { file: 'f.yaml' });
  expect(parsed.findings).toEqual([]);
  return validateDocuments(parsed.documents, { actions, validateCron, validateTimeZone });
}

const brief = (findings: readonly Finding[]): string[] =>
  findings.map(({ position, code, path = '', text = '', suggestion = '' }) =>
    `${position?.line}:${position?.column} ${code} ${path} [${text}] ${suggestion}`.trimEnd(),
  );

const runbook = (spec: string): string => `apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: a}\nspec:\n${spec}`;
const step = (body: string): string =>
  runbook(`  targets: 'true'\n  inputs: {type: object, properties: {path: {type: string}}}\n  steps:\n${body}`);

describe('validateDocuments', () => {
  it('finds nothing wrong with the good examples', () => {
    expect(check(fixture('make-file.yaml'))).toEqual([]);
    expect(check(fixture('rolling-restart.yaml'))).toEqual([]);
  });

  it('finds everything wrong with the bad example, at its place', () => {
    const text = fixture('wrong-steps.yaml');
    const findings = check(text);
    expect(brief(findings)).toEqual([
      '6:18 invalid-expression spec.targets [ownr] owner',
      '11:5 invalid-inputs-schema spec.inputs.propertes [propertes] properties',
      '15:13 unknown-action spec.steps[0].uses [ssh.rum] ssh.run',
      '18:7 missing-field spec.steps[1].with.argv []',
      '19:9 unknown-field spec.steps[1].with.argz [argz] argv',
      '20:16 timeout-too-long spec.steps[1].timeout [2h]',
      '25:24 invalid-value spec.steps[2].with.successCodes[0] [300]',
    ]);
    expect(formatFinding(findings.find((found) => found.code === 'unknown-action') as Finding, text)).toBe(
      [
        'f.yaml:15:13: error: "ssh.rum" is not a known action; known actions are ssh.run, http.request (spec.steps[0].uses) [unknown-action]',
        '15 |       uses: ssh.rum',
        '   |             ^^^^^^^',
        '    did you mean "ssh.run"?',
      ].join('\n'),
    );
  });

  it('places errors inside expressions exactly, in conditions, templates and outputs', () => {
    expect(
      brief(
        check(
          step(
            [
              '    - id: one',
              '      uses: ssh.run',
              "      if: asset.kind == 'server' && asset.lables.env == 'x'",
              '      with: {argv: [touch, \'a-${{ inputs.pth }}\', "${{ asset.name + 1 }}"]}',
              '      outputs: {size: result.stdout, other: asset.name}',
              '    - {id: two, uses: ssh.run, if: "${{ true }}", with: {argv: [x, "${{ 1 + "]}}',
              '    - {id: three, uses: ssh.run, if: "asset.name", with: {argv: ["${{ result.x }}"]}}',
            ].join('\n'),
          ),
        ),
      ),
    ).toEqual([
      '10:43 invalid-expression spec.steps[0].if [lables] labels',
      '11:35 unknown-input spec.steps[0].with.argv[1] [inputs.pth] path',
      expect.stringMatching(/^11:\d+ invalid-expression spec.steps\[0\].with.argv\[2\]/),
      '12:45 invalid-expression spec.steps[0].outputs.other [asset.name] result',
      '13:36 invalid-expression spec.steps[1].if ["${{ true }}"] true',
      expect.stringMatching(/^13:\d+ invalid-expression spec.steps\[1\].with.argv\[1\]/),
      expect.stringMatching(/^14:\d+ invalid-expression spec.steps\[2\].if/),
      '14:71 invalid-expression spec.steps[2].with.argv[0] [result.x]',
    ]);
  });

  it('lets steps read earlier steps only, and the run level no output of a target', () => {
    const findings = check(
      step(
        [
          "    - {id: probe, uses: ssh.run, with: {argv: [x]}, outputs: {size: 'result.stdout'}}",
          "    - {id: ask, uses: http.request, with: {url: 'https://x/${{ steps.probe.size }}'}}",
          '    - {id: go, uses: ssh.run, if: steps.ask.status == 200 && steps.probe.sise == "1", with: {argv: ["${{ steps.go.stdout }}", "${{ steps.last.stdout }}"]}}',
          '    - {id: last, uses: ssh.run, if: steps.prob.size == 1, with: {argv: ["${{ steps.go.stdin }}", "${{ steps[asset.name].x }}"]}}',
          '    - {id: note, uses: http.request, if: run.counts.failed > 0 && steps.ask.status == 200, with: {url: "https://x"}}',
          '    - {id: bad, uses: http.request, if: steps.late.status == 1, with: {url: "https://${{ asset.name }}"}}',
          '    - {id: late, uses: http.request, with: {url: "https://x"}}',
        ].join('\n'),
      ),
    );
    expect(
      findings.map(({ code, path, text = '', suggestion = '' }) => `${code} ${path} ${text} ${suggestion}`.trim()),
    ).toEqual(
      [
        'target-output-at-run-level spec.steps[1].with.url steps.probe.size',
        'unknown-output spec.steps[2].if steps.probe.sise size',
        'unknown-step spec.steps[2].with.argv[0] steps.go.stdout',
        'unknown-step spec.steps[2].with.argv[1] steps.last.stdout',
        'unknown-step spec.steps[3].if steps.prob.size probe',
        'unknown-output spec.steps[3].with.argv[0] steps.go.stdin',
        'unknown-step spec.steps[3].with.argv[1] steps',
        'unknown-step spec.steps[5].if steps.late.status',
        'asset-at-run-level spec.steps[5].with.url asset.name',
      ].map((line) => expect.stringContaining(line)),
    );
  });

  it('checks inputs wherever they are constant, and leaves what expressions will yield', () => {
    const with_ = (value: string): string[] => brief(check(step(`    - {id: a, uses: ssh.run, with: ${value}}`)));
    expect(with_('{argv: "${{ [inputs.path] }}"}')).toEqual([]);
    expect(with_('{argv: [x], become: {user: "${{ inputs.path }}"}}')).toEqual([]);
    expect(with_('{argv: [x], effect: "${{ inputs.path }}", successCodes: ["${{ 1 }}"]}')).toEqual([]);
    expect(with_('{argv: [x, 3, "${{ inputs.path }}"]}')).toEqual(['8:47 wrong-type spec.steps[0].with.argv[1] [3]']);
    expect(with_('{argv: [x], become: {user: "${{ inputs.path }}", crdential: x}}')).toEqual([
      '8:85 unknown-field spec.steps[0].with.become.crdential [crdential] credential',
    ]);
    expect(with_('{argv: [], effect: readonly}')).toEqual([
      '8:43 invalid-value spec.steps[0].with.argv [[]]',
      '8:55 invalid-value spec.steps[0].with.effect [readonly] read-only',
    ]);
  });

  it('knows the types of some expressions before their values, and converts none', () => {
    const source = (value: string): string =>
      step(`    - {id: a, uses: ssh.run, with: ${value}}`).replace(
        /\n  inputs:.*\n/,
        '\n  inputs: {type: object, properties: {times: {type: integer}, on: {type: boolean}, path: {type: string}, many: {type: array}, any: {type: [integer, string]}}}\n',
      );
    const with_ = (value: string): string[] => brief(check(source(value)));
    expect(with_('{argv: [sleep, "${{ inputs.times }}"]}')).toEqual([
      '8:51 wrong-type spec.steps[0].with.argv[1] ["${{ inputs.times }}"] ${{ string(inputs.times) }}',
    ]);
    expect(with_('{argv: ["${{ inputs.on }}", "${{ 1 + 2 }}", "${{ [\'a\'] }}"]}')).toEqual([
      expect.stringContaining('wrong-type spec.steps[0].with.argv[0] ["${{ inputs.on }}"] ${{ string(inputs.on) }}'),
      expect.stringContaining('wrong-type spec.steps[0].with.argv[1] ["${{ 1 + 2 }}"] ${{ string(1 + 2) }}'),
      expect.stringContaining('wrong-type spec.steps[0].with.argv[2] ["${{ [\'a\'] }}"]'),
    ]);
    expect(check(source('{argv: [x, "${{ inputs.times }}"]}')).map(({ message }) => message)).toEqual([
      'item 2 of "argv" must be text, and input "times" is a whole number',
    ]);
    const right = '["${{ inputs.path }}", "${{ string(inputs.times) }}", "n=${{ inputs.times }}", "${{ inputs.any }}"]';
    expect(with_(`{argv: ${right}, successCodes: ["\${{ inputs.times }}"], become: "\${{ inputs.on }}"}`)).toEqual([]);
    expect(with_('{argv: "${{ inputs.many }}"}')).toEqual([]);
  });

  it('checks ids, targets and times', () => {
    const two = '    - {id: a, uses: ssh.run, with: {argv: [x]}}\n';
    expect(brief(check(step(two + two)))).toEqual(['9:12 duplicate-step spec.steps[1].id [a]']);
    expect(brief(check(runbook(`  steps:\n${two}`)))).toEqual(['4:1 targets-required spec.targets []']);
    const control = '    - {id: a, uses: http.request, with: {url: "https://x"}}\n';
    expect(check(runbook(`  steps:\n${control}`))).toEqual([]);
    expect(check(runbook(`  targets: 'true'\n  steps:\n${control}`))[0]).toMatchObject({
      code: 'targets-unused',
      severity: 'warning',
    });
    for (const timeout of ['0s', '99999999999d']) {
      const { findings } = parseDocuments(runbook(`  timeout: ${timeout}\n  steps:\n${control}`), { file: 'f.yaml' });
      expect(brief(findings)).toEqual([`5:12 invalid-value spec.timeout [${timeout}]`]);
    }
    expect(brief(check(runbook(`  timeout: 31d\n  steps:\n${control}`)))).toEqual([
      '5:12 timeout-too-long spec.timeout [31d]',
    ]);
    expect(brief(check(runbook(`  targets: asset.facts.a.matches("x")\n  steps:\n${two}`)))).toEqual([
      expect.stringMatching(/^5:\d+ invalid-expression spec.targets/),
    ]);
  });

  it('checks schedules with the functions it is given, and their inputs where the runbook is there', () => {
    const schedule = (spec: string): string =>
      `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: s}\nspec: ${spec}\n`;
    expect(
      brief(check(schedule('{runbook: a, cron: "0 xx * * *", timeZone: Europe/Berln, targets: asset.nam == "x"}'))),
    ).toEqual([
      '4:30 invalid-schedule spec.cron [0 xx * * *]',
      '4:50 invalid-time-zone spec.timeZone [Europe/Berln] Europe/Berlin',
      '4:79 invalid-expression spec.targets [nam] name',
    ]);
    const both = `${step('    - {id: a, uses: ssh.run, with: {argv: [x]}}')}\n---\n${schedule('{runbook: a, cron: "0 1 * * *", inputs: {path: 3}}')}`;
    expect(brief(check(both))).toEqual(['13:48 invalid-inputs spec.inputs.path []']);
    expect(check(schedule('{runbook: elsewhere, cron: "0 1 * * *", inputs: {path: 3}}'))).toEqual([]);
  });

  it('finds documents given twice', () => {
    const one = step('    - {id: a, uses: ssh.run, with: {argv: [x]}}');
    const [found] = check(`${one}\n---\n${one}`);
    expect(found).toMatchObject({
      code: 'duplicate-document',
      message: 'Runbook/default/a is given twice; first at f.yaml:3:18',
    });
    expect(found?.position).toMatchObject({ line: 12, column: 18 });
  });
});

describe('formatFinding', () => {
  const base: Finding = {
    code: 'x',
    message: 'wrong',
    severity: 'error',
    position: { file: 'f', line: 2, column: 4 },
    text: 'bc',
  };

  it('shows the line with a caret, keeps tabs and cuts long lines', () => {
    expect(formatFinding(base, '\uFEFFa\r\n\t a bc d\r\n')).toBe('f:2:4: error: wrong [x]\n2 | \t a bc d\n  | \t  ^^');
    const long = formatFinding(
      { ...base, position: { file: 'f', line: 1, column: 5001 } },
      `${'x'.repeat(5000)}bc${'y'.repeat(5000)}`,
    );
    const [, excerpt = '', caret = ''] = long.split('\n');
    expect(excerpt).toHaveLength(124);
    expect(excerpt.slice(caret.indexOf('^'), caret.lastIndexOf('^') + 1)).toBe('bc');
  });

  it('shows the text where there is no source, and never acts on the terminal', () => {
    expect(formatFinding({ ...base, position: undefined, text: '\u001b[2Jx' })).toBe(
      'error: wrong [x]\n    \uFFFD[2Jx',
    );
    expect(formatFinding(base)).toBe('f:2:4: error: wrong [x]\n    bc');
  });
});

describe('documents of wrong shape', () => {
  it('says of an expression in ${{ }} the same as in a document of right shape', () => {
    const text = step(
      [
        "    - {id: e, forEach: {items: '${{ inputs.list }}', steps: []}}",
        "    - {id: w, if: '${{ inputs.x }}', wait: {uses: http.request, condition: result.status == 200}, retrry: 1}",
      ].join('\n'),
    );
    const { documents } = parseDocuments(text, { file: 'draft.yaml' });
    const found = validateDocuments(documents, { actions, validateCron, validateTimeZone });
    const wrapped = found.filter(({ message }) => message.includes('already'));
    expect(wrapped.map(({ path, message, suggestion }) => [path, message, suggestion])).toEqual([
      ['spec.steps[0].forEach.items', 'this is an expression already; write it without ${{ }}', 'inputs.list'],
      ['spec.steps[1].if', 'a condition is an expression already; write it without ${{ }}', 'inputs.x'],
    ]);
    expect(found.filter(({ path }) => path === 'spec.steps[1].wait.condition')).toEqual([]);
  });

  it('hide no other mistake', () => {
    const text = `apiVersion: fettle/v1
kind: Runbok
metadata: {name: one}
spec:
  targets: asset.site = "ber"
  steps:
    - {id: UP, uses: ssh.rum, with: {argv: [id]}}
    - {id: ok, uses: ssh.run, with: {argv: id, typo: "\${{ nope }}"}, if: "1 +"}
---
apiVersion: fettle/v2
kind: Schedule
metadata: {name: two}
spec: {runbook: one, cron: "99 * * * *", timeZone: Nowhere}
---
- not a document
`;
    const parsed = parseDocuments(text, { file: 'draft.yaml' });
    const failing = (text_: string) => {
      throw new FettleError({ code: 'refused', message: text_ });
    };
    const found = validateDocuments(parsed.documents, { actions, validateCron: failing, validateTimeZone: failing });
    const brief = (findings: readonly Finding[]) => findings.map((one) => `${one.code} ${one.path ?? ''}`);
    expect(brief(parsed.findings)).toEqual([
      'unknown-kind kind',
      'invalid-value spec.steps[0].id',
      'invalid-value apiVersion',
      'wrong-type ',
    ]);
    expect(brief(found)).toEqual([
      'invalid-expression spec.targets',
      'unknown-action spec.steps[0].uses',
      'wrong-type spec.steps[1].with.argv',
      'unknown-field spec.steps[1].with.typo',
      'invalid-expression spec.steps[1].with.typo',
      'invalid-expression spec.steps[1].if',
      'refused spec.cron',
      'refused spec.timeZone',
    ]);
  });

  it('may hold anything where text is expected', () => {
    for (const spec of [
      '[]',
      '{steps: {}}',
      '{targets: 1, steps: [1, {uses: 2, with: 3, if: []}]}',
      '{cron: 1, timeZone: []}',
    ])
      for (const kind of ['Runbook', 'Schedule']) {
        const { documents } = parseDocuments(`kind: ${kind}\nspec: ${spec}`, { file: 'odd.yaml' });
        expect(validateDocuments(documents, { actions })).toEqual([]);
      }
  });
});
