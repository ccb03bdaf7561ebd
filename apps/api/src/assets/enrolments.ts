import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { EnrolRequest, EnrolResult } from '@fettle/contracts';
import { abandonEnrolment, readEnrolment, requestEnrolment } from '@fettle/operations';
import { OperationRunner } from '../common/operation-runner.js';
import type { Caller } from '../common/request.js';

/** A worker that is up needs some tenths of a second, and a host that does not answer eight. */
const PATIENCE_MS = 20_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 400;

/** Asks a worker for an enrolment and waits for what comes of it. */
@Injectable()
export class Enrolments {
  constructor(private readonly runner: OperationRunner) {}

  async enrol(
    caller: Caller,
    key: { readonly space: string; readonly name: string },
    request: EnrolRequest,
  ): Promise<EnrolResult> {
    const id = await this.runner.write(caller, (context) => requestEnrolment(context, key, request));
    const giveUpAtMs = Date.now() + PATIENCE_MS;
    for (let pauseMs = FIRST_PAUSE_MS; Date.now() < giveUpAtMs; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
      await sleep(pauseMs);
      const result = await this.runner.read((transaction) => readEnrolment(transaction, id));
      if (result !== null) return result;
    }
    return this.runner.read((transaction) => abandonEnrolment(transaction, id));
  }
}
