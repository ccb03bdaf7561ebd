import { runbookDocumentSchema } from '@fettle/contracts';
import { actionContracts } from '@fettle/activities/contracts';
import type { ContinuableRun } from '@fettle/database';
import { canonicalJson, compileRunbook, type CompiledRunbook, type ProgramNode } from '@fettle/runbook';
import { diffDocuments, formatDiffLine } from '@fettle/runbook/source';

/** In what the version that a run goes on with differs from its own. */
export interface EditedVersion {
  /** Whether what is known of a step holds for the new version: there is one of that path, of the same kind and action. */
  readonly fits: (path: string) => boolean;
  /** Of a step that both have: it reads otherwise now. */
  readonly isChanged: (path: string) => boolean;
  /** Paths of what was done. */
  readonly known: readonly string[];
  readonly diff: (document: unknown) => readonly string[];
}

/** A step without iterations around it -> what it is, and all that it says. */
type Shape = ReadonlyMap<string, { readonly kind: string; readonly text: string }>;

export function compareVersions(run: Pick<ContinuableRun, 'document'>, compiled: CompiledRunbook): EditedVersion {
  const own = runbookDocumentSchema.safeParse(run.document);
  const now = shapeOf(compiled);
  const before = own.success ? shapeOf(compileRunbook(own.data.spec, actionContracts)) : now;
  const plain = (path: string): string => path.replace(/^.*\]\//, '');
  return {
    fits: (path) => {
      const [was, is] = [before.get(plain(path)), now.get(plain(path))];
      // A row of something that is no step of its own (a gate, say) says nothing about steps.
      return was === undefined || was.kind === is?.kind;
    },
    isChanged: (path) => {
      const [was, is] = [before.get(plain(path)), now.get(plain(path))];
      return was !== undefined && is !== undefined && was.text !== is.text;
    },
    known: [],
    diff: (document) => diffDocuments(run.document, document).map(formatDiffLine),
  };
}

function shapeOf({ program, targetCodes }: CompiledRunbook): Shape {
  const shape = new Map<string, { kind: string; text: string }>();
  for (const { path, step } of targetCodes) shape.set(path, { kind: `target ${step.uses}`, text: canonicalJson(step) });
  const visit = (nodes: readonly ProgramNode[]): void => {
    for (const node of nodes) {
      const uses = node.kind === 'control' || node.kind === 'poll' ? ` ${node.step.uses}` : '';
      if (node.kind !== 'targets') shape.set(node.id, { kind: `${node.kind}${uses}`, text: canonicalJson(node) });
      if ('branches' in node) for (const branch of node.branches) visit(branch.nodes);
      if ('nodes' in node) visit(node.nodes);
      if (node.kind === 'try') visit([...(node.catch ?? []), ...(node.finally ?? [])]);
    }
  };
  visit(program.nodes);
  return shape;
}
