import type { Plan, PlannedGate, PlannedNode, PlannedVariant, PlannedWaveGate } from '@fettle/contracts';
import { planSummary } from '@fettle/runbook/source';
import type { Output } from '../../output/output.js';
import { oneLine, plural } from '../../output/text.js';
import { describeOutcome } from '@fettle/runbook/source';
import { plannedCalendarFields } from '../calendar/calendar-text.js';
import { variantLines, type VariantsView } from './variants-text.js';

export interface PlanView {
  readonly full: boolean;
  /** Only what is done on this target, and by the run itself. */
  readonly host?: string | undefined;
}

/** A plan for a person: what it is of, then its steps, those inside of others indented. */
export function planText(plan: Plan, output: Output, view: PlanView): string {
  const { colours } = output;
  const lines = plan.steps.flatMap((node) => nodeLines(node, { colours, full: view.full || view.host !== undefined }));
  const { effects, outcomes } = planSummary(plan);
  const counts = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  return `${head(plan, output)}\n${lines.join('\n')}\n\n${output.fields([
    ['effects', counts(effects)],
    ['outcomes', counts(outcomes)],
  ])}`;
}

function head(plan: Plan, output: Output): string {
  const { targets, runbook } = plan;
  const undetermined =
    targets.undetermined === 0 ? '' : `; for ${plural(targets.undetermined, 'asset')} it could not be determined`;
  const inputs = Object.entries(plan.inputs).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const called = plan.closure.runbooks.filter(
    ({ name, version }) => name !== runbook.name || version !== runbook.version,
  );
  return output.fields([
    ['plan', plan.digest],
    ['runbook', `${runbook.name} in ${runbook.space}, version ${runbook.version}`],
    ['calls', called.map(({ name, version }) => `${name} ${version.slice(0, 19)}`).join(', ')],
    ['targets', `${targets.count}${undetermined}`],
    ['waves', (plan.waves ?? []).map(({ number, targets: size }) => `${number}: ${size}`).join(', ')],
    ['gate', plan.waveGate === undefined ? '' : waveGateText(plan.waveGate)],
    ['inputs', inputs.join(' ')],
    [
      'credentials',
      plan.credentials
        .map(({ name, version }) => `${name} (${version === null ? 'missing' : `version ${version}`})`)
        .join(', '),
    ],
    ['approvals', plan.approvals.map(({ path }) => path).join(', ')],
    ['capacity', plan.capacity.wants.map(({ key, units }) => (units === 1 ? key : `${units} of ${key}`)).join(', ')],
    ...plan.capacity.conflicts.map(({ key, message }): [string, string] => [`waits for ${key}`, message]),
    ...moreHeld(plan),
    ...plannedCalendarFields(plan.calendar),
    ...heldWhileClosed(plan),
  ]);
}

/** Capacity is counted for the whole run, and is not given back while some of its targets wait. */
function heldWhileClosed({ calendar, capacity }: Plan): [string, string][] {
  if (calendar === undefined || calendar.closed.length === 0 || capacity.wants.length === 0) return [];
  return [['note', 'its capacity is held while targets wait for a closed calendar']];
}

/** What has to hold between two waves. */
function waveGateText({ require, condition, look, every, timeout, consecutive = 1 }: PlannedWaveGate): string {
  const times = consecutive === 1 ? '' : ` ${consecutive} times in a row`;
  const looked =
    look === undefined
      ? []
      : [`${condition ?? ''}${times}, by ${describeOutcome(look)}, every ${every ?? ''} for at most ${timeout ?? ''}`];
  return oneLine([...(require === null ? [] : [require]), ...looked].join('; and '));
}

/** Assets that others change, beyond those that are named. */
function moreHeld({ capacity: { assets } }: Plan): [string, string][] {
  const more = (assets?.count ?? 0) - (assets?.held.length ?? 0);
  return more <= 0 ? [] : [['waits for', `${plural(more, 'more asset')} that others change`]];
}

const INDENT = '    ';

function nodeLines(node: PlannedNode, view: VariantsView): string[] {
  const { colours } = view;
  const name = node.name === undefined ? '' : colours.dim(`  ${oneLine(node.name)}`);
  const handler =
    node.handler === undefined ? [] : section(`if it fails: ${node.handler.name}`, node.handler.steps, view);
  if (node.kind === 'action') {
    const where = node.scope === 'control' ? colours.dim('  (once, for the run)') : '';
    const title = `${colours.bold(oneLine(node.path))}  ${node.uses}${where}${name}`;
    return [
      title,
      ...indent(variantLines(node.variants, node.scope === 'control', view)),
      ...rollback(node, view),
      ...handler,
    ];
  }
  const title = `${colours.bold(oneLine(node.path))}  ${oneLine(flowText(node))}${gateText(node.gate)}${name}`;
  return [title, ...inside(node, view), ...handler];
}

function flowText(node: Exclude<PlannedNode, { kind: 'action' }>): string {
  switch (node.kind) {
    case 'parallel':
      return `parallel, ${node.branches.length} branches`;
    case 'for-each': {
      if (node.knownAfter.length > 0) return `(for each of the items known after ${node.knownAfter.join(', ')})`;
      const width = node.concurrency > 1 ? `, ${node.concurrency} at a time` : '';
      return `for each of ${plural(node.iterations.length, 'item')}${width}`;
    }
    case 'choose':
      return 'choose';
    case 'call': {
      const version = node.version === null ? '' : ` ${node.version.slice(0, 19)}`;
      return `calls ${node.runbook}${version} on ${plural(node.targets.count, 'target')}`;
    }
    case 'approval': {
      const who = [...node.roles, ...node.principals].join(', ') || 'whoever may start it';
      const message = node.message === null ? '' : `: ${node.message}`;
      return `asks for ${plural(node.quorum, 'approval')} of ${who}, within ${node.expires}${message}`;
    }
    case 'wait': {
      const words = {
        duration: 'waits',
        until: 'waits until',
        condition: 'waits until',
        signal: 'waits for the signal',
      };
      return `${words[node.waitsFor]} ${node.detail}${node.look === undefined ? '' : `, by ${describeOutcome(node.look)}`}`;
    }
    case 'try':
      return 'try';
  }
}

function gateText(gate: PlannedGate): string {
  switch (gate.outcome) {
    case 'run':
      return '';
    case 'skip':
      return ': skipped';
    case 'fail':
      return `: fails: ${oneLine(gate.error.message)} [${gate.error.code}]`;
    case 'not-reached':
      return `: not reached, ${gate.after} fails before it`;
    case 'unknown':
      return `: whether it is carried out is known after ${gate.knownAfter.join(', ')}`;
  }
}

function inside(node: Exclude<PlannedNode, { kind: 'action' }>, view: VariantsView): string[] {
  switch (node.kind) {
    case 'parallel':
      return node.branches.flatMap(({ name, steps }) => section(name, steps, view));
    case 'for-each':
      return node.iterations.flatMap(({ key, steps }) => section(key === null ? 'each' : `item ${key}`, steps, view));
    case 'choose':
      return node.branches.flatMap(({ when, taken, knownAfter, steps }) => {
        if (taken === 'no') return [];
        const later = knownAfter.length === 0 ? '' : ` (known after ${knownAfter.join(', ')})`;
        const title = when === null ? 'otherwise' : `when ${when}${later}`;
        return section(taken === 'yes' ? title : `perhaps: ${title}`, steps, view);
      });
    case 'call':
      return indent(node.steps.flatMap((step) => nodeLines(step, view)));
    case 'try':
      return [
        ...indent(node.body.flatMap((step) => nodeLines(step, view))),
        ...section('catch', node.catch ?? [], view),
        ...section('finally', node.finally ?? [], view),
      ];
    default:
      return [];
  }
}

function section(title: string, steps: readonly PlannedNode[], view: VariantsView): string[] {
  if (steps.length === 0) return [];
  return [
    ...indent([view.colours.cyan(`${oneLine(title)}:`)], 2),
    ...indent(steps.flatMap((step) => nodeLines(step, view))),
  ];
}

function indent(lines: readonly string[], columns = INDENT.length): string[] {
  return lines.map((line) => `${' '.repeat(columns)}${line}`);
}

function rollback({ rollback: undo, scope }: Extract<PlannedNode, { kind: 'action' }>, view: VariantsView): string[] {
  if (undo === undefined) return [];
  const { colours } = view;
  if (undo.kind === 'none') return indent([colours.dim(`no rollback: ${oneLine(undo.reason)}`)]);
  if (undo.kind === 'action') return indent([colours.dim(`rollback: ${oneLine(undo.compensation)}`)]);
  return indent([
    colours.dim(`rollback: ${undo.uses}`),
    ...indent(variantLines(undo.variants, scope === 'control', view), 2),
  ]);
}

/** The same plan with only one target in it; the digest stays that of the whole. Null: it is none of the targets. */
export function onlyHost(plan: Plan, host: string): Plan | null {
  const items = plan.targets.items.filter(({ name }) => name === host);
  if (items.length === 0) return null;
  return { ...plan, targets: { ...plan.targets, items }, steps: plan.steps.map((node) => narrowed(node, host)) };
}

function narrowed(node: PlannedNode, host: string): PlannedNode {
  const each = (steps: readonly PlannedNode[]): PlannedNode[] => steps.map((step) => narrowed(step, host));
  const only = (variants: readonly PlannedVariant[]): PlannedVariant[] =>
    variants
      .filter(({ targets }) => targets.includes(host))
      .map((variant) => ({ ...variant, count: 1, targets: [host] }));
  const handler = node.handler === undefined ? {} : { handler: { ...node.handler, steps: each(node.handler.steps) } };
  switch (node.kind) {
    case 'action': {
      const { rollback: undo } = node;
      if (node.scope === 'control') return { ...node, ...handler };
      const back = undo?.kind === 'step' ? { rollback: { ...undo, variants: only(undo.variants) } } : {};
      return { ...node, ...handler, variants: only(node.variants), ...back };
    }
    case 'parallel':
      return { ...node, ...handler, branches: node.branches.map((one) => ({ ...one, steps: each(one.steps) })) };
    case 'choose':
      return { ...node, ...handler, branches: node.branches.map((one) => ({ ...one, steps: each(one.steps) })) };
    case 'for-each':
      return { ...node, ...handler, iterations: node.iterations.map((one) => ({ ...one, steps: each(one.steps) })) };
    case 'call':
      return { ...node, ...handler, steps: each(node.steps) };
    case 'try': {
      const { body, catch: caught, finally: last } = node;
      return { ...node, ...handler, body: each(body), catch: caught && each(caught), finally: last && each(last) };
    }
    default:
      return { ...node, ...handler };
  }
}
