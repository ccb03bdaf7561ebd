import { kindSections } from './kind-descriptions.js';

/** A part of the language whose fields are described together. */
export interface FieldSection {
  readonly title: string;
  /** One or two sentences before the table. */
  readonly intro: string;
  /** Field -> meaning; every field of the schema, and no other. */
  readonly fields: Readonly<Record<string, string>>;
  /** YAML, where an example says more. */
  readonly example?: string | undefined;
}

const outputs = (of: string): string =>
  `name -> CEL over \`result\`, ${of}; later steps read it as \`steps.<id>.<name>\``;

/** What every field means, by the section that it stands in: the reference page and editors show it. */
export const fieldSections = {
  metadata: {
    title: 'metadata',
    intro: 'Who the document is.',
    fields: {
      name: 'unique for its kind in its space',
      space: 'who owns it',
      labels: 'for people and selectors',
      description: 'for people',
    },
  },
  runbook: {
    title: 'Runbook: spec',
    intro: 'Steps written down, with what they need.',
    fields: {
      description: 'what the runbook is for',
      inputs:
        'JSON Schema (draft 2020-12) of an object: what a run is given; what it does not name is refused unless it says otherwise',
      targets: 'selector: the assets that steps on targets run on; needed if there is such a step',
      rollout: 'how steps on targets go over the targets',
      timeout: 'of the whole run, at most 30 days',
      steps: 'carried out in their order',
      handlers:
        'name -> steps that a failed step names in `onError`, as a `catch` of its own; their outputs can be read only inside of them',
      outputs: 'name -> CEL of the run level: what a run that calls this one reads of it',
      summary: 'text with `${{ }}` that says what the run came to',
      capacity: 'held from the start of the run to its end',
      priority: 'the higher comes first where runs wait for a capacity; 0 if absent',
      rollback:
        'what is undone when the run does not succeed: `unfinished` (if absent) on targets that did not come through, `all` that was done, or `nothing`',
      lint: '`ignore`: findings of `fettle lint` that are meant to be so, each with its `code`, a `reason` and perhaps the `step`',
      calendars:
        'calendars by which its runs go, besides those of their assets: nothing begins while one of them is closed to it',
      onClose:
        '`finish`: a target that has begun when its calendar closes goes on to its end; `park`: it waits before its next step. `finish` without',
      assetLock: '`exclusive`: at most one run changes an asset at a time; `shared`: others may at the same time',
      notify: 'who is told when the run comes into one of the states `on`, by the action `uses` with the input `with`',
      logLimit:
        'what is kept of the output of each attempt of a step, half from its beginning and half from its end: 8KiB to 16MiB, 1MiB where it is absent',
    },
  },
  rollout: {
    title: 'rollout',
    intro: 'A percentage is of all targets of the run. Waves are rounded up, `maxFailures` is rounded down.',
    fields: {
      maxConcurrency: 'targets worked on at once',
      waves: "how many targets each wave comes up to, those before it included; the last is `'100%'`",
      maxFailures: 'nothing more is dispatched once *more* targets than this have failed',
      strict: 'targets in flight count as failed before more are dispatched',
      soak: 'wait between the end of a wave and the next',
      gate: 'what has to hold after each wave but the last, and after `soak`; where it does not, no further wave is dispatched and the run fails with `gate-closed`',
      strategy: '`linear`: the targets of a wave wait for each other between two steps; `free`: they do not',
      orderBy: 'CEL over `asset`: targets are dispatched in the order of its values',
    },
  },
  notification: {
    title: 'notify',
    intro: 'Tells somebody of the run.',
    fields: {
      on: 'the states of the run that somebody is told of',
      uses: 'how: an action that notifies',
      with: "the action's input; `${{ }}` reads `inputs` and `run`; what happened is filled in where it is not given",
    },
  },
  schedule: {
    title: 'Schedule: spec',
    intro: 'When a runbook is due.',
    fields: {
      runbook: 'what is run; a name in the same space',
      cron: 'five fields, or six with seconds first',
      every: 'elapsed time between instants, counted from 1970-01-01T00:00:00Z',
      phase: 'with `every`: so long after its multiples',
      rrule: 'a recurrence rule of RFC 5545, with lines `DTSTART`, `EXDATE` and `RDATE` if need be',
      at: "once: a time by the zone's clock, or one with an offset",
      monthly:
        'business days of months: `businessDay` (3, or -1 for the last, or a list), `time` (`06:30`, or a list), `months`',
      businessDays: 'what a business day is: `weekend` (default `[SAT, SUN]`) and `holidays` (local dates)',
      roll: 'where an instant goes whose local day is no business day: `next` or `previous`',
      after:
        'due when a run of another schedule has ended: `schedule`, `on` (`success`, `failure` or `completion`), `within` (how late it may still start)',
      timeZone: 'IANA name of the zone whose clock is read',
      dst: 'local times that a change of clocks leaves out (`gap`: `shift` or `skip`) or repeats (`overlap`: `first`, `last` or `both`)',
      start: 'the first moment; a date counts from its begin',
      end: 'the last moment, inclusive; a date counts to its end',
      exclude: 'local days and times that are left out: a list of `date`, `cron`, `rrule` or `nonBusinessDays: true`',
      jitter: 'each instant comes later by up to this much, the same at each reckoning; never as late as the next one',
      mustStartBy: 'so long after the instant a run must have started; where it cannot any more, that is said once',
      mustFinishBy: 'so long after the instant a run must have finished',
      notify:
        'who is told of the schedule itself, in one of the states `on`, by the action `uses` with the input `with`',
      inputs: "checked against the runbook's schema",
      targets: "selector that narrows the runbook's, never widens it",
      catchUp: 'how late a fire may still start; later ones are recorded as missed',
      calendars: 'calendars by which its runs go, besides those of the runbook and of the assets',
      onClose: 'what a target does that has begun when its calendar closes, instead of what the runbook says',
      overlap:
        'while a run of the schedule goes on: `skip` the instant; `queue-one`: start the first that comes when the run has ended, `queue-all`: each of them; `cancel-other`: cancel the run, and start when that has ended; `allow` both',
      missed:
        'of several instants inside of `catchUp`: `none`, the `last` or `all` of them start a run; absent: `last`',
      whenClosed:
        'while a calendar is closed: the instant is `refuse`d, `skip`ped, or `defer`red to the next opening; absent: `skip`',
      pauseOnFailure: 'a run that fails or times out pauses the schedule',
    },
  },
  scheduleNotification: {
    title: 'notify of a schedule',
    intro: 'Tells somebody what became of the schedule; of its runs, the `notify` of the runbook tells.',
    fields: {
      on: '`deadline-missed`: `mustStartBy` or `mustFinishBy` cannot be met any more; `refused`: an instant could not start its run; `missed`: it came to be looked at later than `catchUp` allows; `quarantined`: the schedule cannot be reckoned',
      uses: 'how: an action that notifies',
      with: "the action's input, without expressions; what happened is filled in where it is not given",
    },
  },
  capacityLimit: {
    title: 'Capacity: spec',
    intro:
      'How many units of a key may be in use at once, in all runs of the space together. A key without a document has 1.',
    fields: {
      description: 'what the key stands for',
      key: '`KIND:NAME`, such as `db:billing`; kinds keep names apart and mean nothing else',
      limit: 'units in use at once',
    },
  },
  ...kindSections,
  step: {
    title: 'What all steps have',
    intro: 'A step has these fields and exactly one of those that tell what it is.',
    fields: {
      id: 'names the step in outputs and journals: unique in the whole runbook, and stable over versions',
      name: 'for people',
      if: 'condition (CEL, without `${{ }}`); the step is skipped where it is not true',
      onError:
        '`fail`: the target, or the run, has failed. `continue`: the way goes on. The name of a handler: its steps are carried out, and the way goes on after them',
      capacity: 'taken before the step, all at once, and given back after it; computed once for the run',
    },
  },
  uses: {
    title: 'Action: uses',
    intro:
      'The action decides the scope: `target` runs on each target, `control` once for the run. Neighbouring steps on targets form a segment, which each target goes through by itself; a control step runs when all targets have passed or left the steps before it.',
    fields: {
      uses: 'the action',
      with: "the action's input; `${{ }}` yields values",
      retry: 'more attempts after one that failed for certain',
      timeout: "of one attempt, up to the action's maximum; absent: the action's own",
      outputs: `${outputs("the action's output")}; absent: all of the output`,
      rollback: 'how what the step changed is undone, or why it cannot be',
    },
    example: `- id: restart
  uses: ssh.run
  with: { argv: [systemctl, restart, '\${{ inputs.service }}'], become: true }
  timeout: 2m
  retry: { maxAttempts: 3, backoff: 5s }
  rollback: { none: a restart cannot be taken back }`,
  },
  retry: {
    title: 'retry',
    intro: 'The wait doubles with each further attempt.',
    fields: {
      maxAttempts: 'attempts in all, the first included',
      backoff: 'wait before the second attempt, at most 24 hours',
      maxBackoff: 'the longest wait, at most 24 hours',
    },
  },
  rollback: {
    title: 'rollback',
    intro:
      'An action of the same scope, which reads what the step itself reads and the outputs of the step; or the reason why there is none.',
    fields: {
      uses: 'the action that undoes the step',
      with: 'its input',
      retry: 'more attempts after one that failed',
      timeout: 'of one attempt',
      none: 'why the step cannot be undone; instead of all others',
    },
    example: `- id: write
  uses: file.put
  with: { path: /etc/motd, content: '\${{ inputs.text }}' }
  rollback: { uses: ssh.run, with: { argv: [cp, /etc/motd.before, /etc/motd] } }`,
  },
  parallel: {
    title: 'parallel',
    intro:
      'Two to twenty branches beside each other. Targets do one thing at a time: where branches have steps on targets, these take turns.',
    fields: {
      parallel: 'name -> steps of the branch',
      failFast: 'cancel the other branches when one fails; otherwise they go on to their end',
    },
    example: `- id: prepare
  parallel:
    ticket:
      - { id: open_ticket, uses: http.request, with: { method: POST, url: 'https://tickets.example/' } }
    silence:
      - { id: silence, uses: http.request, with: { method: POST, url: 'https://alerts.example/' } }`,
  },
  forEach: {
    title: 'forEach',
    intro: 'Its steps once for each item.',
    fields: {
      items: 'a list, or CEL of the run level that yields one; at most 1,000 items',
      as: 'the steps inside read the item as `item.<as>`',
      concurrency: 'iterations at once',
      failFast: 'begin no further iteration once one has failed',
      steps: 'carried out for each item',
      outputs: outputs('a list with `{key, state, outputs}` for each item, in their order'),
    },
    example: `- id: each_site
  forEach:
    items: inputs.sites
    as: site
    concurrency: 2
    steps:
      - { id: announce, uses: http.request, with: { url: 'https://status.example/\${{ item.site }}' } }
  outputs: { states: 'result.map(one, one.state)' }`,
  },
  choose: {
    title: 'choose',
    intro: 'The first branch whose condition is true; where none is, the step is skipped.',
    fields: {
      when: 'condition of the run level; only the last branch may have none, and is then taken where no other was',
      steps: 'carried out if the branch is chosen',
    },
    example: `- id: how
  choose:
    - when: inputs.mode == "full"
      steps: [{ id: full, uses: ssh.run, with: { argv: [backup, --full] } }]
    - steps: [{ id: quick, uses: ssh.run, with: { argv: [backup] } }]`,
  },
  call: {
    title: 'call',
    intro: 'Another runbook of the same space, as a run of its own.',
    fields: {
      runbook: 'its name',
      version: 'digest of a version; absent: the newest one when the run starts',
      inputs: 'what it is given; `${{ }}` yields values',
      targets:
        '`own`: those of the called runbook. `inherit`: those of them that are targets of this run and still in it',
      on: 'selector that narrows them further',
      outputs: outputs("the called runbook's `outputs`"),
    },
    example: `- id: drain
  call: { runbook: drain-site, inputs: { site: '\${{ inputs.site }}' }, targets: inherit }
  outputs: { drained: result.count }`,
  },
  approval: {
    title: 'approval',
    intro: 'Waits until enough people have said yes. One rejection rejects; without a decision in time it is rejected.',
    fields: {
      message: 'what is asked; text with `${{ }}`',
      roles: "who may decide: anybody with one of these roles on the run's runbook and targets",
      principals: 'who may decide, by name',
      quorum: 'different people who have to approve',
      allowSelf: 'whether whoever requested the run may approve it',
      expires: 'without a decision by then it is rejected',
      escalate: 'who else may decide after a while',
      onDrift:
        'what happens where the plan is not any more the one that was approved: the run fails as `plan-drift`, or is asked for again',
    },
    example: `- id: may_reboot
  approval:
    message: 'Reboot the servers of \${{ inputs.site }}?'
    roles: [operator]
    quorum: 2
    expires: 4h
    escalate: { after: 1h, roles: [admin] }`,
  },
  escalate: {
    title: 'approval.escalate',
    intro: 'Adds to those who may decide.',
    fields: {
      after: 'how long after the question; before it expires',
      roles: 'who may decide as well',
      principals: 'who may decide as well, by name',
    },
  },
  wait: {
    title: 'wait',
    intro:
      'Lets time pass (`duration`, `until`), repeats an action until a condition holds (`uses`), or waits for a signal from outside (`signal`).',
    fields: {
      duration: 'so long',
      until: 'a moment: RFC 3339 with offset, or text with `${{ }}` that yields it; one that has passed does not wait',
      uses: 'an action of control scope that is read-only or idempotent',
      with: 'its input',
      condition: 'CEL over `result`, the output of the action; true ends the wait',
      every: 'time between two looks',
      signal: 'its name, as `fettle run signal` gives it',
      payload: 'JSON Schema of an object: what the signal brings',
      timeout: 'the step fails then; 10m for `uses`, 24h for `signal` if absent',
      outputs: outputs('the output of the action, or the payload'),
    },
    example: `- id: healthy
  wait:
    uses: http.request
    with: { url: 'https://lb.example/health' }
    condition: result.status == 200
    every: 10s
    timeout: 5m
- id: released
  wait: { signal: released, payload: { type: object, properties: { by: { type: string } } }, timeout: 2h }
  outputs: { by: result.by }`,
  },
  try: {
    title: 'try',
    intro:
      'Steps with what becomes of their failure. With steps on targets only, each target goes through it by itself; otherwise it belongs to the run, and its `catch` and `finally` hold no steps on targets, because targets that failed have left the run.',
    fields: {
      try: 'what may fail',
      catch:
        'carried out where a step of `try` has failed, which it reads as `error.code`, `error.message` and `error.step`; the failure is then handled',
      finally:
        'carried out in any case, also where the run is cancelled: then at once, past `catch`, and within a time limit',
    },
    example: `- id: safely
  try:
    - { id: stop, uses: ssh.run, with: { argv: [systemctl, stop, app], become: true } }
    - { id: migrate, uses: ssh.run, with: { argv: [/opt/app/migrate] } }
  catch:
    - { id: restore, uses: ssh.run, with: { argv: [/opt/app/restore, '\${{ error.code }}'] } }
  finally:
    - { id: start, uses: ssh.run, with: { argv: [systemctl, start, app], become: true } }`,
  },
  capacity: {
    title: 'capacity',
    intro:
      'A list of keys, each as text or with the number of its units. So many may be in use at once, in all runs together.',
    fields: {
      key: '`KIND:NAME`, such as `db:billing` or `site:${{ inputs.site }}`: letters, digits and `. _ : / @ -`',
      units: 'how many of its units',
    },
  },
} as const satisfies Record<string, FieldSection>;
export type SectionName = keyof typeof fieldSections;
