import { approvalSchema, type Approval, type ApprovalState } from '@fettle/contracts';
import { age } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { progressText } from './approval-text.js';

interface ListOptions extends SpaceOptions {
  readonly mine?: boolean;
  readonly state?: ApprovalState;
  readonly run?: string;
  readonly limit: number;
  readonly all?: boolean;
}

export async function listApprovals(session: Session, options: ListOptions): Promise<number> {
  const client = session.connect(options);
  const { space, mine } = options;
  const state = options.state ?? (options.all === true ? undefined : 'open');
  const query = { space, state, mine, runId: options.run === undefined ? undefined : requireRunId(options.run) };
  const limit = options.all === true ? undefined : options.limit;
  const { items, hasMore } = await client.list('/api/v1/approvals', approvalSchema, query, limit);
  const now = session.host.now();
  session.output.list<Approval>(
    options.output,
    items,
    [
      { title: 'ID', value: (row) => row.id },
      { title: 'RUNBOOK', value: (row) => row.runbook },
      { title: 'STEP', value: (row) => row.step },
      { title: 'STATE', value: (row) => row.state },
      { title: 'APPROVED', value: (row) => progressText(row) },
      { title: 'TARGETS', value: (row) => row.targetCount, align: 'right' },
      { title: 'BY', value: (row) => row.requestedBy },
      { title: 'ASKED', value: (row) => age(row.askedAt, now) },
      { title: 'UNTIL', value: (row) => row.expiresAt },
      { title: 'ASKS', value: (row) => row.message },
    ],
    mine === true ? 'Nothing waits for you.' : 'No approvals.',
  );
  if (hasMore) session.output.note('There are more: --limit or --all shows them.');
  return EXIT.ok;
}
