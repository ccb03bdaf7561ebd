import { countSelected } from './asset/count.js';
import { gatherFacts } from './asset/gather.js';
import { useCredential } from './asset/use-credential.js';
import type { ActionName } from './contracts.js';
import { putFile } from './file/put.js';
import { restoreFile } from './file/restore.js';
import { rebootHost } from './host/reboot.js';
import { requestHttp } from './http/request.js';
import type { ControlAction, TargetAction } from './implementation.js';
import { sendMail } from './notify/mail.js';
import { sendWebhook } from './notify/webhook.js';
import { installPatches } from './patch/install.js';
import { restorePatches } from './patch/restore.js';
import { scanPatches } from './patch/scan.js';
import { keepTested } from './patch/tested.js';
import { runCommand } from './ssh/run.js';
import { runScript } from './ssh/script.js';

/** The worker's registry: every contract has its implementation, or this does not compile. */
export const actions = {
  'ssh.run': runCommand,
  'ssh.script': runScript,
  'file.put': putFile,
  'file.restore': restoreFile,
  'http.request': requestHttp,
  'asset.gather': gatherFacts,
  'asset.use-credential': useCredential,
  'asset.count': countSelected,
  'notify.webhook': sendWebhook,
  'notify.mail': sendMail,
  'patch.scan': scanPatches,
  'patch.install': installPatches,
  'patch.restore': restorePatches,
  'patch.tested': keepTested,
  'host.reboot': rebootHost,
} as const satisfies Record<ActionName, TargetAction | ControlAction>;

export function findAction(name: string): TargetAction | ControlAction | undefined {
  return Object.hasOwn(actions, name) ? actions[name as ActionName] : undefined;
}
