export * from './transport/ssh/types.js';
export { mayHaveStarted, type SshErrorCode } from './transport/ssh/errors.js';
export { quoteArgument, quoteArgv } from './transport/ssh/quote.js';
export { fingerprintSha256 } from './transport/ssh/host-keys.js';
export { SshPool, type SshPoolOptions } from './transport/ssh/ssh-pool.js';
export { httpRequest, shownUrl, type HttpRequest, type HttpResponse } from './transport/http/http-request.js';
export {
  MAX_DETACHED_OUTPUT_BYTES,
  releaseDetached,
  runDetached,
  stopDetached,
  type DetachedIdentity,
  type DetachedRequest,
  type DetachedState,
  type RunOnHost,
} from './transport/ssh/detached/detached.js';
