import { scheduleNotificationsSchema, type ScheduleNotifications } from '@fettle/contracts';
import type { Column } from '../../output/table.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { schedulePath } from './schedule-path.js';

type Item = ScheduleNotifications['items'][number];

const columns: readonly Column<Item>[] = [
  { title: 'AT', value: ({ at }) => at },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'HOW', value: ({ item, uses }) => `${uses} (notify[${item}])` },
  { title: 'OUTCOME', value: ({ outcome, nextAt }) => outcome ?? `again at ${nextAt ?? ''}` },
  { title: 'ATTEMPTS', value: ({ attempts }) => String(attempts) },
  {
    title: 'WHY',
    value: ({ reason, error }) => (error === null ? reason : `${reason}; ${error.code}: ${error.message}`),
  },
];

export async function showNotifications(session: Session, name: string, options: SpaceOptions): Promise<number> {
  const path = `${schedulePath(name)}/notifications`;
  const told = await session.connect(options).get(path, scheduleNotificationsSchema, { space: options.space });
  const { output } = session;
  output.data(options.output, told, () => (told.items.length === 0 ? '' : output.table(told.items, columns)));
  if (options.output === 'table' && told.items.length === 0) output.note('Nobody has been told anything of it.');
  return EXIT.ok;
}
