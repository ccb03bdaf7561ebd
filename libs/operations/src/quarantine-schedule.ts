import {
  countWaiting,
  endWaitingFires,
  listWaitingFires,
  quarantineSchedule,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { MAX_WAITING } from '@fettle/calendar';
import { MAX_BACKFILL } from '@fettle/contracts';
import { uuidv7 } from 'uuidv7';
import { systemContext } from './context.js';
import { recordAudit } from './record-audit.js';

/** Puts a schedule that cannot be reckoned aside, with its reason, and ends what waits of it: it delays no other. */
export async function quarantine(
  transaction: Transaction,
  schedule: Pick<StoredSchedule, 'id' | 'space' | 'name'>,
  code: string,
  reason: string,
): Promise<void> {
  await quarantineSchedule(transaction, schedule.id, reason);
  const waiting = await listWaitingFires(transaction, schedule.id, MAX_WAITING + MAX_BACKFILL);
  await endWaitingFires(
    transaction,
    schedule.id,
    waiting.map((fire) => ({
      ...fire,
      nominalAt: fire.nominalAt.toISOString(),
      lastNominalAt: null,
      outcome: 'refused',
      code: 'quarantined',
      reason: `the schedule was quarantined: ${reason}`,
      dueAt: null,
      evidence: {},
    })),
  );
  await countWaiting(transaction, schedule.id);
  await recordAudit(systemContext(transaction, uuidv7()), {
    action: 'schedule.quarantine',
    space: schedule.space,
    object: { kind: 'Schedule', name: schedule.name, id: schedule.id },
    detail: { code, reason },
  });
}
