import { actionContracts } from '@fettle/activities/contracts';
import { documentSchema } from '@fettle/runbook/reference';
import { EXIT } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';

/** The JSON Schema of documents for editors, laid out for people in any case: it is meant to go into a file. */
export async function printSchema(session: Session): Promise<number> {
  session.output.stdout.write(`${JSON.stringify(documentSchema(actionContracts), null, 2)}\n`);
  return Promise.resolve(EXIT.ok);
}
