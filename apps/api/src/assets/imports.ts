import { Injectable } from '@nestjs/common';
import { FettleError, type ImportQuery, type ImportResult } from '@fettle/contracts';
import { importAssets } from '@fettle/operations';
import { OperationRunner } from '../common/operation-runner.js';
import type { Caller, FettleRequest, FettleResponse } from '../common/request.js';
import { passOver, readImportBody } from './import-body.js';

/** Takes one import at a time: its rows are held until all are read, and two of the largest would be too much for one process. */
@Injectable()
export class Imports {
  #isBusy = false;

  constructor(private readonly runner: OperationRunner) {}

  /** @throws FettleError `unavailable` while another import is under way in this process */
  async import(
    caller: Caller,
    query: ImportQuery,
    request: FettleRequest,
    response: FettleResponse,
  ): Promise<ImportResult> {
    if (this.#isBusy) {
      await passOver(request, response);
      throw new FettleError({
        code: 'unavailable',
        message: 'Another import is under way; one at a time is taken.',
        remedy: 'Try again when it has ended.',
      });
    }
    this.#isBusy = true;
    try {
      const body = await readImportBody(request, response);
      return await this.runner.write(caller, (context) => importAssets(context, { ...query, ...body }));
    } finally {
      this.#isBusy = false;
    }
  }
}
