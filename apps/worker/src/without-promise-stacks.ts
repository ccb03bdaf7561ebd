// Loaded with `--import` in the threads of workflows, before the SDK sets its hooks there. The hook on promises of `AsyncLocalStorage`,
// by which the SDK knows the cancellation scope, is another one and stays.
import { globalHandlers } from '@temporalio/worker/lib/workflow/vm-shared.js';

Object.assign(globalHandlers, { setPromiseHook: () => undefined });
