import { CancellationScope } from '@temporalio/workflow';

/** A scope without a time limit, and without the two promises that the SDK's takes to have one. */
export class BareScope extends CancellationScope {
  constructor(options: { readonly cancellable: boolean }) {
    super(options);
  }

  protected override runInContext<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return work();
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
