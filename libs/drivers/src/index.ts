export * from './transport/ssh/types.js';
export { mayHaveStarted, type SshErrorCode } from './transport/ssh/errors.js';
export { quoteArgument, quoteArgv } from './transport/ssh/quote.js';
export { fingerprintSha256 } from './transport/ssh/host-keys.js';
export { withSecretEnvironment } from './transport/ssh/secret-environment.js';
export { SshPool, type SshPoolOptions } from './transport/ssh/ssh-pool.js';
export { httpRequest, shownUrl, type HttpRequest, type HttpResponse } from './transport/http/http-request.js';
export {
  DETACHED_HEAD_BYTES,
  DETACHED_TAIL_BYTES,
  releaseDetached,
  runDetached,
  stopDetached,
  type DetachedIdentity,
  type DetachedRequest,
  type DetachedState,
  type RunOnHost,
} from './transport/ssh/detached/detached.js';
export { sendMail, type MailRequest, type MailServer } from './transport/smtp/send-mail.js';
export { renderMail, type Mail } from './transport/smtp/mail-message.js';
export { MAX_JUMPS } from './transport/ssh/jump-hosts.js';
export type { FileLook, LookAtFileRequest } from './transport/ssh/look-at-file.js';
export {
  lastWords,
  managerFailure,
  type HostCommandEnd,
  type HostCommands,
  type InstallCommand,
  type InstallReport,
  type PackageProvider,
  type SimulatedInstall,
  shownCommand,
} from './provider/provider.js';
export { detectProvider, providerOf } from './provider/detect.js';
