/** What each code of a finding means, and what to do. `warning`: the document can be applied all the same. */
export interface FindingCode {
  readonly severity: 'error' | 'warning';
  readonly meaning: string;
  readonly remedy: string;
}

const error = (meaning: string, remedy: string): FindingCode => ({ severity: 'error', meaning, remedy });
const warning = (meaning: string, remedy: string): FindingCode => ({ severity: 'warning', meaning, remedy });

/** Every code that reading and validating documents gives, in the order in which the checks are made. */
export const findingCodes: Readonly<Record<string, FindingCode>> = {
  'yaml-syntax': error('the text is not YAML', 'mend it at the place that is named'),
  'no-documents': error('the source holds no document', 'write one, or name another file'),
  'too-many-documents': error('more than 100 documents in a source', 'split the file'),
  'source-too-large': error('over 1 MiB', 'split the file'),
  'too-complex': error(
    'over 250,000 words and signs, 50,000 values, or 4 Mi characters with aliases counted each time',
    'split the file',
  ),
  'too-deep': error('nested over 64 levels, or a schema of inputs over 32', 'make it flatter'),
  'too-many-aliases': error('over 200 anchors and aliases', 'write the values out'),
  'duplicate-key': error('a key is given twice', 'remove one'),
  'non-string-key': error('a key is not text', 'put it in quotes'),
  'forbidden-key': error('`__proto__` or `constructor`', 'choose another name'),
  'merge-key-refused': error('`<<` is not part of YAML 1.2', 'write the members out'),
  'tag-refused': error('a YAML tag', 'remove it'),
  'directive-refused': error('a YAML directive', 'remove it'),
  'invalid-alias': error('an alias without anchor, or one that contains itself', 'write the value out'),
  'unprintable-character': error('a control character or half of a surrogate pair', 'remove it'),
  'invalid-number': error('not finite, or beyond 2^53', 'put it in quotes'),
  'unknown-kind': error(
    'no kind of document',
    '`Runbook`, `Schedule`, `Capacity`, `Calendar`, `PatchBaseline` or `Rehearsal`',
  ),
  'unknown-field': error('a field that does not exist here', 'see the suggestion; nothing is ignored'),
  'missing-field': error('a field that must be there', 'add it'),
  'wrong-type': error('a value of another type; nothing is converted', 'write it as the type that is named'),
  'invalid-value': error('a value beyond its bounds or shape', 'see the bounds in the message'),
  'step-kind': error(
    'a step without any of the fields that tell what it is, or with two of them',
    'give it exactly one',
  ),
  'duplicate-document': error('two documents of the same kind, space and name', 'rename one'),
  'duplicate-step': error('two steps with the same id, anywhere in the runbook', 'rename one; ids name steps for ever'),
  'steps-too-deep': error('steps inside of each other over 10 levels deep', 'call another runbook'),
  'too-many-steps': error(
    'over 500 steps, or over 1,000 with those of handlers counted wherever they are named',
    'call other runbooks',
  ),
  'unknown-action': error('no action of this server', 'see the list in the message'),
  'only-undoes': error('an action that means something only as a rollback', 'name it in the `rollback` of a step'),
  'timeout-too-long': error("longer than the action's maximum, or than 30 days for a run", 'shorten it'),
  'targets-required': error('steps on targets, or a call that inherits them, without `targets`', 'say which assets'),
  'targets-unused': warning('`targets` without a step on targets', 'remove it'),
  'waves-decrease': error('waves are cumulative and must not decrease', 'put them in order'),
  'waves-incomplete': error("the last wave is not `'100%'`", "end with `'100%'`"),
  'soak-too-long': error(
    'the waits between waves take as long as the run may',
    'shorten `soak`, or give the run more time',
  ),
  'gate-too-long': warning(
    'a gate that may look for longer than the run may take',
    'shorten its `timeout`, or lengthen that of the runbook',
  ),
  'gate-incomplete': error(
    'a gate between waves of which something is missing',
    'give `require`, or `uses` with its `condition`',
  ),
  'rollout-unused': warning('a field of `rollout` that has no effect', 'remove it, or add what it needs'),
  'invalid-expression': error('not an expression, or one that can never work here', 'see the position in it'),
  'unknown-input': error('an input that the schema does not have', 'declare it'),
  'unknown-step': error(
    'a step that is not there, or cannot be read from here',
    'read an earlier step on the same way',
  ),
  'unknown-output': error('an output that the step does not have', 'declare it in `outputs`'),
  'output-may-be-missing': warning(
    'a step that is not carried out on every way that leads here',
    'ask first: `has(steps.<id>.<name>)`',
  ),
  'target-output-at-run-level': error(
    'the run level reads what differs by target',
    'use `run.counts`, or do it on the targets',
  ),
  'asset-at-run-level': error('the run level reads `asset`', 'put the condition in `if` of the steps on targets'),
  'counts-at-target-level': error(
    'a step on targets reads `run.counts`, which changes while it runs',
    'ask in a step of the run, or in the `if` of a flow step around it',
  ),
  'limit-exceeded': error('an expression beyond the limits of the language', 'make it shorter'),
  'unknown-item': error('`item` outside of `forEach`, or of another name', 'use the name in `as`'),
  'item-shadowed': error('the `as` of a `forEach` around', 'choose another name'),
  'error-outside-catch': error('`error` outside of `catch` and handlers', 'read it there'),
  'for-each-items': error('`items` is no list', 'write a list, or CEL that yields one'),
  'choose-order': error('a branch without `when` before the last', 'move it to the end'),
  'unknown-handler': error('`onError` names no handler', '`fail`, `continue` or a name in `handlers`'),
  'handler-name': error('a handler called `fail` or `continue`', 'choose another name'),
  'handler-unused': warning('a handler that no step names', 'remove it, or name it'),
  'handler-cycle': error('handlers that come back to themselves', 'let the inner one fail'),
  'handler-level': error(
    'a step on targets names a handler with steps of the run, or the reverse',
    'write one handler for each level',
  ),
  'targets-in-catch': error(
    'a step on targets in the `catch` or `finally` of the run level: targets that failed have left the run',
    'put a `try` with steps on targets only around what may fail',
  ),
  'capacity-in-try': error(
    'a step inside of a `try` on targets takes capacity by itself',
    'take it at the outermost `try`',
  ),
  'condition-in-try': error('a `try` inside of a `try` on targets has a condition', 'put `if` on its steps'),
  'capacity-key': error('a key that is not KIND:NAME', 'write it as `db:billing`: letters, digits and `. _ : / @ -`'),
  'capacity-twice': error('a key is taken twice', 'say how many with `units`'),
  'rollback-scope': error('a rollback of another scope than its step', 'undo it where it was done'),
  'call-cycle': error('a call that comes back to this runbook', 'break the circle'),
  'unknown-runbook': warning('a called or rehearsed runbook that is not in the files', 'validate both together'),
  'unknown-target': error('a rehearsal names an asset that its estate does not have', 'add it to the estate'),
  'no-effect': error(
    'a mock, fault, answer or signal of a rehearsal that no step can meet',
    'name a step with `uses` for mocks and faults, an approval for answers, a signal that is waited for',
  ),
  'approval-nobody': error('nobody may decide', 'name `roles` or `principals`'),
  'approval-quorum': error('more people have to approve than may', 'lower `quorum`, or name more'),
  'escalation-too-late': error('the approval expires before it is escalated', 'escalate earlier'),
  'wait-too-long': error('the wait takes longer than the run may', 'shorten it, or give the run more time'),
  'wait-scope': error('a wait that repeats an action on targets', 'use `retry` of a step on targets'),
  'wait-effect': warning('a wait that repeats what changes something each time', 'repeat something that only reads'),
  'invalid-inputs-schema': error('the schema of inputs or of a payload', 'see the message'),
  'invalid-inputs': error('inputs that do not fit the schema of the runbook', 'see the message'),
  'invalid-schedule': error('a cron text that cannot be read', 'see the position in it'),
  'invalid-time-zone': error('no IANA zone', 'see the suggestion'),
  'too-many-findings': error('more than 200 findings', 'mend those that are shown'),
};
