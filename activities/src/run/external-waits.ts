import type { DataSource } from 'typeorm';
import { approvalWait } from './approval-wait.js';
import { callWait } from './call-wait.js';
import { capacityWait } from './capacity-wait.js';
import { signalWait } from './signal-wait.js';
import type { CommandOf, ExternalCommand, ExternalWait, WaitKind, WaitReport } from './wait-report.js';

/** Every kind of wait; a command without its kind does not compile. */
const kinds: { readonly [Kind in ExternalCommand['kind']]: WaitKind<CommandOf<Kind>> } = {
  call: callWait,
  'await-signal': signalWait,
  'take-capacity': capacityWait,
  'ask-approval': approvalWait,
};

export function lookAtWait(dataSource: DataSource, wait: ExternalWait): Promise<WaitReport> {
  const kind = kinds[wait.command.kind] as WaitKind<ExternalCommand>;
  return dataSource.transaction((transaction) => kind.look(transaction, wait));
}

export function endWaitEarly(
  dataSource: DataSource,
  wait: ExternalWait,
  why: 'cancelled' | 'timeout',
): Promise<WaitReport> {
  const kind = kinds[wait.command.kind] as WaitKind<ExternalCommand>;
  return dataSource.transaction((transaction) => kind.end(transaction, wait, why));
}
