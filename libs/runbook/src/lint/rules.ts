/** How much a finding matters: an error is what nobody would want to run, a warning wants a reason, an info is worth a look. */
export const lintLevels = ['error', 'warning', 'info'] as const;
export type LintLevel = (typeof lintLevels)[number];

/** One thing that lint looks for. `fettle lint --explain CODE` and docs/reference/lint.md print it. */
export interface LintRule {
  readonly level: LintLevel;
  /** What is found, in a few words. */
  readonly title: string;
  /** Why it matters. */
  readonly why: string;
  readonly bad: string;
  readonly good: string;
}

/** Every finding by its code; codes never change once published. */
export const lintRules = {
  'irreversible-without-approval': {
    level: 'error',
    title: 'an irreversible step that no approval stands before',
    why: 'What cannot be undone should be seen by a second person, who approves the plan with the very commands in it. Where an expression decides the effect, the worst one counts that it may come to.',
    bad: '- {id: wipe, uses: ssh.run, with: {argv: [wipefs, -a, /dev/sdb], effect: irreversible}}',
    good: '- {id: ask, approval: {roles: [operator]}}\n- {id: wipe, uses: ssh.run, with: {argv: [wipefs, -a, /dev/sdb], effect: irreversible}}',
  },
  'irreversible-known-later': {
    level: 'warning',
    title: 'an irreversible step whose input or condition depends on what earlier steps yield',
    why: 'The plan can only say "(known after ...)" there, so that whoever approves it approves what nobody has seen.',
    bad: "- {id: wipe, uses: ssh.run, with: {argv: [wipefs, -a, '${{ steps.find.stdout }}'], effect: irreversible}}",
    good: "- {id: wipe, uses: ssh.run, with: {argv: [wipefs, -a, '${{ inputs.device }}'], effect: irreversible}}",
  },
  'mutating-without-rollback': {
    level: 'warning',
    title: 'a step that changes something, without rollback and without a reason why there is none',
    why: 'When a later step fails, or the run is cancelled, what this step did stays. Say how to undo it, or that nobody can.',
    bad: '- {id: stop, uses: ssh.run, with: {argv: [systemctl, stop, app]}}',
    good: '- id: stop\n  uses: ssh.run\n  with: {argv: [systemctl, stop, app]}\n  rollback: {uses: ssh.run, with: {argv: [systemctl, start, app]}}',
  },
  'rollback-reads-own-output': {
    level: 'warning',
    title: 'a rollback that reads the output of the very step that it undoes',
    why: 'A step that failed half-way, or whose worker was lost, has left no output: just then its rollback cannot be carried out. Undo by what was known before the step.',
    bad: "- id: snapshot\n  uses: ssh.run\n  with: {argv: [lvcreate, -s, vg/data]}\n  outputs: {name: result.stdout}\n  rollback: {uses: ssh.run, with: {argv: [lvremove, '${{ steps.snapshot.name }}']}}",
    good: "- id: snapshot\n  uses: ssh.run\n  with: {argv: [lvcreate, -s, -n, '${{ run.id }}', vg/data]}\n  rollback: {uses: ssh.run, with: {argv: [lvremove, '-f', 'vg/${{ run.id }}']}}",
  },
  'retried-mutation': {
    level: 'warning',
    title: 'a retry of a step that may have changed something before it failed',
    why: 'Each attempt is carried out on what the one before left. Retry steps that are idempotent, or say `effect: idempotent` if this one is.',
    bad: '- {id: add, uses: ssh.run, with: {argv: [useradd, app]}, retry: {maxAttempts: 3}}',
    good: '- {id: add, uses: ssh.run, with: {argv: [mkdir, -p, /srv/app], effect: idempotent}, retry: {maxAttempts: 3}}',
  },
  'unreachable-step': {
    level: 'warning',
    title: 'a step that is never carried out',
    why: 'Its condition is always false, a branch before it is always taken, or it stands after a step that always fails. It looks as if something was done.',
    bad: "- {id: clean, if: 'false', uses: ssh.run, with: {argv: [apt-get, clean]}}",
    good: '- {id: clean, if: inputs.clean, uses: ssh.run, with: {argv: [apt-get, clean]}}',
  },
  'always-fails': {
    level: 'error',
    title: 'a condition that can never be determined',
    why: 'It reads nothing, and has no value: the step fails wherever the run comes to it.',
    bad: "- {id: check, if: '1 / 0 == 1', uses: ssh.run, with: {argv: ['true']}}",
    good: "- {id: check, if: inputs.check, uses: ssh.run, with: {argv: ['true']}}",
  },
  'constant-condition': {
    level: 'info',
    title: 'a condition that is always true',
    why: 'It decides nothing. Leave it out, or read what it was meant to read.',
    bad: "- {id: clean, if: 'true', uses: ssh.run, with: {argv: [apt-get, clean]}}",
    good: '- {id: clean, uses: ssh.run, with: {argv: [apt-get, clean]}}',
  },
  'output-never-produced': {
    level: 'error',
    title: 'an output is read of a step that is never carried out',
    why: 'The value is missing whenever it is read, so that the step that reads it fails.',
    bad: "- {id: find, if: 'false', uses: ssh.run, with: {argv: [ls]}}\n- {id: use, uses: ssh.run, with: {argv: [cat, '${{ steps.find.stdout }}']}}",
    good: "- {id: find, uses: ssh.run, with: {argv: [ls]}}\n- {id: use, uses: ssh.run, with: {argv: [cat, '${{ steps.find.stdout }}']}}",
  },
  'output-may-be-missing': {
    level: 'warning',
    title: 'an output is read of a step that may have been skipped or have failed',
    why: 'Where that step was skipped, or failed and was passed over, the value is missing and the step that reads it fails. Ask with has(...) first.',
    bad: "- {id: find, if: inputs.look, uses: ssh.run, with: {argv: [ls]}}\n- {id: use, uses: ssh.run, with: {argv: [cat, '${{ steps.find.stdout }}']}}",
    good: "- {id: find, if: inputs.look, uses: ssh.run, with: {argv: [ls]}}\n- {id: use, if: has(steps.find.stdout), uses: ssh.run, with: {argv: [cat, '${{ steps.find.stdout }}']}}",
  },
  'output-never-read': {
    level: 'info',
    title: 'a declared output that nothing reads',
    why: 'Either it is left over, or what should read it reads something else.',
    bad: '- {id: find, uses: ssh.run, with: {argv: [ls]}, outputs: {files: result.stdout}}',
    good: "- {id: find, uses: ssh.run, with: {argv: [ls]}, outputs: {files: result.stdout}}\n- {id: use, uses: ssh.run, with: {argv: [echo, '${{ steps.find.files }}']}}",
  },
  'unused-input': {
    level: 'info',
    title: 'a declared input that nothing reads',
    why: 'Whoever starts the runbook gives a value that changes nothing.',
    bad: 'inputs: {type: object, properties: {path: {type: string}}}',
    good: "inputs: {type: object, properties: {path: {type: string}}}\nsteps: [{id: list, uses: ssh.run, with: {argv: [ls, '${{ inputs.path }}']}}]",
  },
  'unused-handler': {
    level: 'info',
    title: 'a handler that no step names',
    why: 'It is never carried out. Name it in `onError` of the steps that it is for.',
    bad: 'handlers: {mend: [{id: undo, uses: ssh.run, with: {argv: [undo]}}]}',
    good: '- {id: change, uses: ssh.run, with: {argv: [change]}, onError: mend}',
  },
  'secret-in-document': {
    level: 'error',
    title: 'what looks like a secret stands in the document',
    why: 'Documents are stored, shown, exported and diffed in clear. Store it with `fettle credential set` and name the credential.',
    bad: "- {id: call, uses: http.request, with: {url: 'https://example.org', headers: {Authorization: Bearer abc123}}}",
    good: "- {id: call, uses: http.request, with: {url: 'https://example.org', bearer: example-token}}",
  },
  'secret-may-reach-output': {
    level: 'warning',
    title: 'a step that is given a secret, and whose output goes elsewhere',
    why: 'Secrets are masked in output as they are and in common encodings; a program can print them in others. What this step prints should not be passed on.',
    bad: "- {id: login, uses: ssh.run, with: {argv: [login], secretEnvironment: {TOKEN: api}}}\n- {id: tell, uses: ssh.run, with: {argv: [echo, '${{ steps.login.stdout }}']}}",
    good: '- {id: login, uses: ssh.run, with: {argv: [login], secretEnvironment: {TOKEN: api}}}\n- {id: tell, uses: ssh.run, with: {argv: [echo, done]}}',
  },
  'expression-in-shell': {
    level: 'error',
    title: 'an expression is pasted into a line that a shell reads',
    why: 'A value with a quote, a space or a semicolon becomes a command. Pass it as an argument of its own, which no shell reads.',
    bad: "- {id: list, uses: ssh.run, with: {argv: [sh, -c, 'ls ${{ inputs.path }}']}}",
    good: "- {id: list, uses: ssh.run, with: {argv: [sh, -c, 'ls \"$1\"', sh, '${{ inputs.path }}']}}",
  },
  'expression-in-script': {
    level: 'warning',
    title: 'an expression is pasted into the text of a script',
    why: 'The value becomes part of the program. Pass it in `arguments` or `environment`.',
    bad: "- {id: list, uses: ssh.script, with: {script: 'ls ${{ inputs.path }}'}}",
    good: "- {id: list, uses: ssh.script, with: {script: 'ls \"$1\"', arguments: ['${{ inputs.path }}']}}",
  },
  'unbounded-loop': {
    level: 'warning',
    title: 'a loop over a list that nothing bounds',
    why: 'Its length comes from an input without `maxItems` or from what a step yields. The engine stops at 1,000 items; say what you expect.',
    bad: "inputs: {type: object, properties: {sites: {type: array, items: {type: string}}}}\nsteps: [{id: each, forEach: {items: inputs.sites, as: site, steps: [{id: look, uses: http.request, with: {url: 'https://example.org'}}]}}]",
    good: "inputs: {type: object, properties: {sites: {type: array, maxItems: 20, items: {type: string}}}}\nsteps: [{id: each, forEach: {items: inputs.sites, as: site, steps: [{id: look, uses: http.request, with: {url: 'https://example.org'}}]}}]",
  },
  'recursive-call': {
    level: 'error',
    title: 'runbooks that call each other in a circle',
    why: 'Such a run would start runs until a limit stops it. It is refused when it is planned.',
    bad: 'metadata: {name: a}\nspec: {steps: [{id: again, call: {runbook: a}}]}',
    good: 'metadata: {name: a}\nspec: {steps: [{id: other, call: {runbook: b}}]}',
  },
  'missing-timeout': {
    level: 'info',
    title: 'a step without a time limit of its own, whose action allows more than a minute',
    why: 'A command that hangs holds up its target for as long as the action allows by default. Say how long this one may take.',
    bad: '- {id: build, uses: ssh.script, with: {script: make}}',
    good: '- {id: build, uses: ssh.script, with: {script: make}, timeout: 2m}',
  },
  'no-failure-limit': {
    level: 'warning',
    title: 'a rollout that changes targets and stops at no number of failures',
    why: 'Without `maxFailures` a mistake is carried out on every target there is.',
    bad: 'rollout: {maxConcurrency: 50}',
    good: "rollout: {maxConcurrency: 50, maxFailures: '2%'}",
  },
  'no-waves': {
    level: 'info',
    title: 'a rollout that changes all targets in one wave',
    why: 'A first wave of one target, and a second of a few, show a mistake where it is cheap.',
    bad: "rollout: {maxFailures: '2%'}",
    good: "rollout: {waves: [1, '10%', '100%'], maxFailures: '2%'}",
  },
  'self-approval': {
    level: 'warning',
    title: 'an approval that whoever asks for it may give',
    why: 'One person alone decides, and the approval is a pause.',
    bad: '- {id: ask, approval: {roles: [operator], allowSelf: true}}',
    good: '- {id: ask, approval: {roles: [operator]}}',
  },
  'unused-ignore': {
    level: 'info',
    title: 'an entry of `lint.ignore` that nothing is found for',
    why: 'What it was for has been mended. Left there, it hides the next finding of its kind.',
    bad: "rollout: {waves: [1, '100%']}\nlint: {ignore: [{code: no-waves, reason: three hosts only}]}",
    good: 'lint: {ignore: [{code: no-waves, reason: three hosts only}]}',
  },
} as const satisfies Record<string, LintRule>;

export type LintCode = keyof typeof lintRules;

export function isLintCode(code: string): code is LintCode {
  return Object.hasOwn(lintRules, code);
}
