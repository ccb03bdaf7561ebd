import type { ActionContract } from '@fettle/contracts';
import { assetCount } from './asset/count.contract.js';
import { assetGather } from './asset/gather.contract.js';
import { assetUseCredential } from './asset/use-credential.contract.js';
import { filePut } from './file/put.contract.js';
import { fileRestore } from './file/restore.contract.js';
import { hostReboot } from './host/reboot.contract.js';
import { httpRequest } from './http/request.contract.js';
import { notifyMail } from './notify/mail.contract.js';
import { notifyWebhook } from './notify/webhook.contract.js';
import { patchInstall } from './patch/install.contract.js';
import { patchRestore } from './patch/restore.contract.js';
import { patchScan } from './patch/scan.contract.js';
import { patchTested } from './patch/tested.contract.js';
import { sshRun } from './ssh/run.contract.js';
import { sshScript } from './ssh/script.contract.js';

export { assetCount } from './asset/count.contract.js';
export { assetGather, gatherCommands, gatherNames, type GatherName } from './asset/gather.contract.js';
export { assetUseCredential } from './asset/use-credential.contract.js';
export { fileContent, filePut } from './file/put.contract.js';
export { fileRestore } from './file/restore.contract.js';
export { hostReboot } from './host/reboot.contract.js';
export { httpRequest } from './http/request.contract.js';
export { mailPort, notifyMail } from './notify/mail.contract.js';
export { notifyWebhook } from './notify/webhook.contract.js';
export { patchInstall } from './patch/install.contract.js';
export { patchRestore } from './patch/restore.contract.js';
export { patchScan } from './patch/scan.contract.js';
export { patchTested } from './patch/tested.contract.js';
export { becomeUser, type BecomeInput } from './ssh/become.contract.js';
export { MAX_KEPT_OUTPUT_BYTES } from './ssh/command.contract.js';
export { sshRun } from './ssh/run.contract.js';
export { sshScript } from './ssh/script.contract.js';

/** The explicit registry of action contracts by name: what validation, plan, forms, completion and reference pages read. */
export const actionContracts = {
  'ssh.run': sshRun,
  'ssh.script': sshScript,
  'file.put': filePut,
  'file.restore': fileRestore,
  'http.request': httpRequest,
  'asset.gather': assetGather,
  'asset.use-credential': assetUseCredential,
  'asset.count': assetCount,
  'notify.webhook': notifyWebhook,
  'notify.mail': notifyMail,
  'patch.scan': patchScan,
  'patch.install': patchInstall,
  'patch.restore': patchRestore,
  'patch.tested': patchTested,
  'host.reboot': hostReboot,
} as const satisfies Record<string, ActionContract>;

export type ActionName = keyof typeof actionContracts;
