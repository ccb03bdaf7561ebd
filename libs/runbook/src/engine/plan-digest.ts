import type { Plan, PlannedNode, PlannedOutcome, PlannedVariant } from '@fettle/contracts';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { digestOf } from '../json.js';

/** Of a set of assets, sorted by id: as the run stores it, SHA-256 over the ids, one a line. */
export function targetSetDigest(sortedIds: readonly string[]): string {
  return `sha256:${bytesToHex(sha256(utf8ToBytes(sortedIds.join('\n'))))}`;
}

/**
 * The digest of a plan: of the versions by which it is carried out, inputs, versions of credentials, target set, everything rendered
 * and its effects. What a person reads besides (names of steps, texts of errors, capacity, numbers) does not change it.
 */
export function planDigest(plan: Omit<Plan, 'digest'>): string {
  const idOf = new Map(plan.targets.items.map(({ name, assetId }) => [name, assetId]));
  return digestOf({
    format: plan.format,
    version: plan.runbook.version,
    inputs: plan.inputs,
    closure: plan.closure,
    credentials: plan.credentials.map(({ name, version }) => ({ name, version })),
    targets: plan.targets.digest,
    // Absent where there is none: plans of before it was known keep their digests.
    ...(plan.waveGate === undefined ? {} : { waveGate: gateBody(plan.waveGate) }),
    steps: plan.steps.map((node) => nodeBody(node, idOf)),
  });
}

type Ids = ReadonlyMap<string, string>;

/** What of a node is bound: all but the texts that are written for people. */
function nodeBody(node: PlannedNode, ids: Ids): unknown {
  const { name: _name, handler, ...rest } = node;
  const nodes = (list: readonly PlannedNode[]): unknown => list.map((one) => nodeBody(one, ids));
  const handled = handler === undefined ? {} : { handler: { name: handler.name, steps: nodes(handler.steps) } };
  if (rest.kind === 'action') {
    const { rollback, variants, ...action } = rest;
    const undo = rollback?.kind === 'step' ? { ...rollback, variants: variantsBody(rollback.variants, ids) } : rollback;
    return { ...action, ...handled, variants: variantsBody(variants, ids), rollback: undo };
  }
  const flow = { ...rest, ...handled, gate: withoutText(rest.gate) };
  switch (flow.kind) {
    case 'parallel':
      return { ...flow, branches: flow.branches.map(({ name, steps }) => ({ name, steps: nodes(steps) })) };
    case 'for-each':
      return { ...flow, iterations: flow.iterations.map((one) => ({ ...one, steps: nodes(one.steps) })) };
    case 'choose':
      return { ...flow, branches: flow.branches.map((one) => ({ ...one, steps: nodes(one.steps) })) };
    case 'call': {
      // The set of the called runbook's targets is told by its digest; inside of it, names tell them apart.
      const { digest } = flow.targets;
      return { ...flow, targets: digest, steps: nodes(flow.steps) };
    }
    case 'try':
      return {
        ...flow,
        body: nodes(flow.body),
        catch: flow.catch === null ? null : nodes(flow.catch),
        finally: flow.finally === null ? null : nodes(flow.finally),
      };
    case 'wait':
      return { ...flow, look: flow.look === undefined ? undefined : outcomeBody(flow.look) };
    case 'approval':
      return flow;
  }
}

function withoutText<Outcome extends { readonly outcome: string }>(outcome: Outcome): unknown {
  if (!('error' in outcome)) return outcome;
  const { error, ...rest } = outcome as Outcome & { error: { code: string } };
  return { ...rest, error: error.code };
}

function gateBody({ look, ...gate }: NonNullable<Plan['waveGate']>): unknown {
  return { ...gate, ...(look === undefined ? {} : { look: outcomeBody(look) }) };
}

/** In an order that no number of targets decides. */
function variantsBody(variants: readonly PlannedVariant[], ids: Ids): unknown {
  return variants
    .map(({ targets, count: _count, ...outcome }) => {
      const members = targets.map((name) => ids.get(name) ?? name).sort();
      return { outcome: outcomeBody(outcome), targets: targetSetDigest(members), first: members[0] ?? '' };
    })
    .sort((a, b) => (a.first < b.first ? -1 : 1));
}

function outcomeBody(outcome: PlannedOutcome): unknown {
  return withoutText(withoutLaterFiles(outcome));
}

/** Without the mark of files whose content is known later, which its input tells: plans of before there was one keep their digests. */
export function withoutLaterFiles(outcome: PlannedOutcome): PlannedOutcome {
  if (outcome.outcome !== 'run') return outcome;
  const files = outcome.rendered.files.map(({ knownAfter: _knownAfter, ...file }) => file);
  return { ...outcome, rendered: { ...outcome.rendered, files } };
}
