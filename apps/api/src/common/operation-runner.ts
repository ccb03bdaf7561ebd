import { Injectable } from '@nestjs/common';
import { fromDatabaseError, isRetryable, isUniqueViolation, type Transaction } from '@fettle/database';
import { Authenticator, type OperationContext } from '@fettle/operations';
import { decide } from '@fettle/security';
import { DataSource } from 'typeorm';
import type { Caller } from './request.js';

const maxAttempts = 4;

/** Runs operations for a caller: opens the transaction, gives the context, and tries again where two transactions met. */
@Injectable()
export class OperationRunner {
  constructor(
    private readonly dataSource: DataSource,
    private readonly authenticator: Authenticator,
  ) {}

  /** One transaction around the operation; what it changes is there as a whole when this resolves. */
  async write<Result>(caller: Caller, operation: (context: OperationContext) => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.dataSource.transaction((transaction) => operation(contextOf(transaction, caller)));
      } catch (error) {
        if (!mayTryAgain(error) || attempt >= maxAttempts) throw fromDatabaseError(error);
      }
    }
  }

  /** A change to who may do what: as `write`, and this process acts on it at once. */
  async writeRights<Result>(
    caller: Caller,
    operation: (context: OperationContext) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await this.write(caller, operation);
    } finally {
      this.authenticator.clear();
    }
  }

  /** Reads without a transaction of their own. */
  async read<Result>(operation: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    try {
      return await operation(this.dataSource.manager);
    } catch (error) {
      throw fromDatabaseError(error);
    }
  }

  /** A read whose result depends on the caller's rights. */
  readAs<Result>(caller: Caller, operation: (context: OperationContext) => Promise<Result>): Promise<Result> {
    return this.read((transaction) => operation(contextOf(transaction, caller)));
  }
}

/** Of two requests with one idempotency key at once, the second finds the run of the first when it is tried again. */
function mayTryAgain(error: unknown): boolean {
  return isRetryable(error) || isUniqueViolation(error, 'run_idempotency');
}

function contextOf(transaction: Transaction, { principal, requestId }: Caller): OperationContext {
  const { id, name, kind, bindings } = principal;
  return {
    transaction,
    actor: { principalId: id, name, kind, requestId },
    scopeOf: (permission, space) => decide({ bindings, permission, space }).selectors,
  };
}
